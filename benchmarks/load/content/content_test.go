package content

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

func TestParseReadsWhatStringWrites(t *testing.T) {
	digest := Of([]byte("hello"))
	parsed, err := Parse([]byte(digest.String()))
	if err != nil || parsed != digest {
		t.Fatalf("%v, %v", parsed, err)
	}
}

func TestParseRefuses(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	for _, text := range []string{"", hex, "sha256:", "sha256:" + hex[1:], "sha256:" + hex + "0", "sha512:" + hex,
		"sha256:" + strings.ToUpper(hex), "sha256:" + strings.Repeat("zz", 32)} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q was taken for a digest", text)
		}
	}
}

func TestHashingAcceptsOnlyTheExpectedBody(t *testing.T) {
	body := bytes.Repeat([]byte("portolan"), 100)
	damaged := bytes.Clone(body)
	damaged[77] ^= 1
	cases := map[string]struct {
		received []byte
		right    bool
	}{
		"the body": {body, true}, "a flipped bit": {damaged, false}, "cut short": {body[:len(body)-1], false},
		"one byte more": {append(bytes.Clone(body), 0), false}, "nothing": {nil, false},
	}
	var verifier Hashing // one for all, as in the clients: each body must start afresh
	for name, each := range cases {
		verifier.Expect(Of(body), int64(len(body)))
		for piece := range bytes.SplitAfterSeq(each.received, []byte("o")) {
			if _, err := verifier.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := verifier.Verify(); (err == nil) != each.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestComparingAcceptsOnlyTheExpectedBody(t *testing.T) {
	body := []byte("the quick brown fox jumps over the lazy dog")
	for _, step := range []int{1, 7, 10, 11, len(body)} {
		for flipped := -1; flipped < len(body); flipped++ {
			received := bytes.Clone(body)
			if flipped >= 0 {
				received[flipped] ^= 1
			}
			err := compare(received, step, body[:10], nil, body[10:])
			if (err == nil) != (flipped < 0) {
				t.Fatalf("step %d, byte %d changed: %v", step, flipped, err)
			}
		}
		if compare(body[:len(body)-1], step, body) == nil {
			t.Errorf("step %d: a body cut short was accepted", step)
		}
		if compare(append(bytes.Clone(body), '!'), step, body) == nil {
			t.Errorf("step %d: a body with one byte more was accepted", step)
		}
	}
}

func compare(received []byte, step int, expected ...[]byte) error {
	var verifier Comparing
	verifier.Expect(expected...)
	for len(received) > 0 {
		piece := received[:min(step, len(received))]
		if _, err := verifier.Write(piece); err != nil {
			return err
		}
		received = received[len(piece):]
	}
	return verifier.Verify()
}

func TestLargeBlobsAreNamedByTheirWholeBody(t *testing.T) {
	large := NewLarge("seed", 3*tailSize+100)
	random := Generator("seed", "tails")
	first, second := large.New(random), large.New(random)
	if first.Digest == second.Digest {
		t.Error("two blobs have one digest")
	}
	for _, blob := range []LargeBlob{first, second} {
		whole := bytes.Join([][]byte{blob.Start, blob.Tail}, nil)
		if Of(whole) != blob.Digest || len(whole) != blob.Size() {
			t.Error("the digest is not that of the body")
		}
		for _, step := range []int{1000, tailSize, len(whole)} {
			var joined []byte
			for at := 0; at < len(whole); at += step {
				joined = append(joined, bytes.Join(blob.Slice(at, min(at+step, len(whole))), nil)...)
			}
			if !bytes.Equal(joined, whole) {
				t.Errorf("slices of %d bytes do not make up the body", step)
			}
		}
	}
}

func TestImagesAreReproducibleAndDiffer(t *testing.T) {
	once, again, other := Images("a"), Images("a"), Images("b")
	seen := map[Digest]bool{}
	for n := range once {
		if once[n].Manifest.Digest != again[n].Manifest.Digest {
			t.Error("one seed gave two images")
		}
		if once[n].Manifest.Digest == other[n].Manifest.Digest {
			t.Error("two seeds gave one image")
		}
		for _, blob := range append(once[n].Blobs(), once[n].Manifest) {
			if seen[blob.Digest] || Digest(sha256.Sum256(blob.Body)) != blob.Digest {
				t.Error("a blob is repeated or wrongly named")
			}
			seen[blob.Digest] = true
			if blob.Digest != once[n].Manifest.Digest &&
				!bytes.Contains(once[n].Manifest.Body, fmt.Appendf(nil, `"digest":"%s","size":%d`, blob.Digest, len(blob.Body))) {
				t.Error("the manifest does not describe a blob")
			}
		}
	}
}
