// Package content makes what the benchmark pushes and checks what it receives. It knows nothing of HTTP.
package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

const prefix = "sha256:"

// Digest names a blob by the SHA-256 of its bytes.
type Digest [sha256.Size]byte

// Of computes the digest of body.
func Of(body []byte) Digest { return sha256.Sum256(body) }

// Parse reads "sha256:" and 64 lower-case hexadecimal digits, as a Docker-Content-Digest header holds them.
func Parse(text []byte) (Digest, error) {
	var digest Digest
	if len(text) != len(prefix)+hex.EncodedLen(len(digest)) || !bytes.HasPrefix(text, []byte(prefix)) {
		return Digest{}, fmt.Errorf("not a sha256 digest: %q", text)
	}
	if _, err := hex.Decode(digest[:], text[len(prefix):]); err != nil {
		return Digest{}, fmt.Errorf("not a sha256 digest: %q", text)
	}
	if !bytes.Equal(bytes.ToLower(text), text) {
		return Digest{}, fmt.Errorf("a digest in upper case: %q", text)
	}
	return digest, nil
}

// Hex is the part of the digest after the colon.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

func (d Digest) String() string { return prefix + d.Hex() }
