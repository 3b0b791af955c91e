"""What images are made of: the facts of layers, stacks of them, configs, and how two images differ.

Pure: nothing here reads a store, a database or a socket; `directories` asks the layer index that it is given.
"""
