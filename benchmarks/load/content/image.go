package content

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// LayerSize is the size of each layer, in bytes: small, so that an image measures requests and not the disk's speed.
const LayerSize = 4096

// LayersEach is the number of layers of an image.
const LayersEach = 3

// ManifestType is the media type of the manifests that are pushed and asked for.
const ManifestType = "application/vnd.oci.image.manifest.v1+json"

// Blob is a body and its name.
type Blob struct {
	Body   []byte
	Digest Digest
}

// NewBlob names a body.
func NewBlob(body []byte) Blob { return Blob{Body: body, Digest: Of(body)} }

// Image is what a docker push sends: the layers, the config and, under a tag, the manifest.
type Image struct {
	Tag      string
	Layers   []Blob
	Config   Blob
	Manifest Blob
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// NewImage makes an image of fresh layers from random.
func NewImage(random *rand.ChaCha8, tag string) Image {
	image := Image{Tag: tag}
	var layers []descriptor
	var diffIDs []string
	for range LayersEach {
		body := make([]byte, LayerSize)
		_, _ = random.Read(body) // never fails, as its documentation says
		layer := NewBlob(body)
		image.Layers = append(image.Layers, layer)
		layers = append(layers, descriptor{"application/vnd.oci.image.layer.v1.tar", layer.Digest.String(), len(body)})
		diffIDs = append(diffIDs, layer.Digest.String())
	}
	image.Config = NewBlob(encode(map[string]any{
		"architecture": "amd64",
		"os":           "linux",
		"config":       map[string]any{"Env": []string{"PATH=/usr/bin:/bin"}, "Labels": map[string]string{"tag": tag}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": diffIDs},
	}))
	image.Manifest = NewBlob(encode(map[string]any{
		"schemaVersion": 2,
		"mediaType":     ManifestType,
		"config": descriptor{
			"application/vnd.oci.image.config.v1+json", image.Config.Digest.String(), len(image.Config.Body),
		},
		"layers": layers,
	}))
	return image
}

// Blobs are the image's blobs in the order of a pull: the config, then the layers.
func (i *Image) Blobs() []Blob { return append([]Blob{i.Config}, i.Layers...) }

func encode(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("values made here can be encoded: %v", err))
	}
	return body
}
