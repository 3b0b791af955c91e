package content

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
)

// A Verifier is given a body as it arrives and says at its end whether it is the one expected.
type Verifier interface {
	io.Writer
	Verify() error
}

// Hashing verifies bodies by their digest. It is made once for each client and reset for each body.
type Hashing struct {
	hash     hash.Hash
	expected Digest
	size     int64
	received int64
	sum      []byte
}

// Expect prepares for a body of that digest and size.
func (v *Hashing) Expect(digest Digest, size int64) *Hashing {
	if v.hash == nil {
		v.hash = sha256.New()
		v.sum = make([]byte, 0, sha256.Size)
	}
	v.hash.Reset()
	v.expected, v.size, v.received = digest, size, 0
	return v
}

func (v *Hashing) Write(piece []byte) (int, error) {
	v.received += int64(len(piece))
	return v.hash.Write(piece)
}

// Verify says whether the body had the expected size and digest.
func (v *Hashing) Verify() error {
	if v.received != v.size {
		return fmt.Errorf("received %d bytes, expected %d", v.received, v.size)
	}
	if computed := Digest(v.hash.Sum(v.sum)); computed != v.expected {
		return fmt.Errorf("received content of digest %s, expected %s", computed, v.expected)
	}
	return nil
}

// Comparing verifies a body byte for byte against the pieces it was pushed from, whose digest is known. It is stricter
// than a digest, and costs a tenth: on a machine of few cores, hashing hundreds of megabytes would measure the
// generator instead of the server.
type Comparing struct {
	pieces   [][]byte
	received int64
}

// Expect prepares for a body that consists of these pieces.
func (v *Comparing) Expect(pieces ...[]byte) *Comparing {
	v.pieces = append(v.pieces[:0], pieces...)
	v.received = 0
	return v
}

func (v *Comparing) Write(received []byte) (int, error) {
	total := len(received)
	for len(received) > 0 {
		if len(v.pieces) == 0 {
			return 0, fmt.Errorf("received more than the %d bytes expected", v.received)
		}
		expected := v.pieces[0]
		length := min(len(expected), len(received))
		if !bytes.Equal(expected[:length], received[:length]) {
			return 0, fmt.Errorf("received other content than was pushed, within %d bytes after byte %d", length, v.received)
		}
		received = received[length:]
		v.received += int64(length)
		if v.pieces[0] = expected[length:]; len(v.pieces[0]) == 0 {
			v.pieces = v.pieces[1:]
		}
	}
	return total, nil
}

// Verify says whether the body came to its end.
func (v *Comparing) Verify() error {
	for _, piece := range v.pieces {
		if len(piece) > 0 {
			return fmt.Errorf("received %d bytes only", v.received)
		}
	}
	return nil
}
