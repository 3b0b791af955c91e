package content

import (
	"crypto/sha256"
	"encoding"
	"math/rand/v2"
)

const tailSize = 4096

// Large makes large blobs quickly. All share a long random beginning, whose running hash is computed once, and differ
// in the last 4 KiB. A server gains nothing by that: it must receive, hash, write and synchronise every byte.
type Large struct {
	start    []byte
	midstate []byte
}

// NewLarge prepares blobs of size bytes, more than 4 KiB.
func NewLarge(seed string, size int) *Large {
	large := &Large{start: make([]byte, size-tailSize)}
	_, _ = Generator(seed, "large").Read(large.start)
	hash := sha256.New()
	hash.Write(large.start)
	state, err := hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // crypto/sha256 documents that it can be marshalled
	}
	large.midstate = state
	return large
}

// LargeBlob is one large blob: its body is Start followed by Tail.
type LargeBlob struct {
	Start, Tail []byte
	Digest      Digest
}

// New makes a blob whose last bytes come from random.
func (l *Large) New(random *rand.ChaCha8) LargeBlob {
	tail := make([]byte, tailSize)
	_, _ = random.Read(tail)
	hash := sha256.New()
	if err := hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(l.midstate); err != nil {
		panic(err)
	}
	hash.Write(tail)
	return LargeBlob{Start: l.start, Tail: tail, Digest: Digest(hash.Sum(nil))}
}

// Size is the blob's size in bytes.
func (b LargeBlob) Size() int { return len(b.Start) + len(b.Tail) }

// Slice gives the bytes from start to end (exclusive) as at most two pieces, without copying them.
func (b LargeBlob) Slice(start, end int) [][]byte {
	var pieces [][]byte
	if start < len(b.Start) {
		pieces = append(pieces, b.Start[start:min(end, len(b.Start))])
	}
	if end > len(b.Start) {
		pieces = append(pieces, b.Tail[max(start-len(b.Start), 0):end-len(b.Start)])
	}
	return pieces
}
