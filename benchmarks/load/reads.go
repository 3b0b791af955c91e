package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"load/content"
)

// An operation is what a row counts. It says how many bytes it moved.
type operation interface {
	run(s *session) (int64, error)
}

// operationFunc is an operation that keeps nothing from one time to the next.
type operationFunc func(s *session) (int64, error)

func (f operationFunc) run(s *session) (int64, error) { return f(s) }

// anyImage chooses one of the images that the server was seeded with.
func (b *bench) anyImage(s *session) *content.Image { return &b.images[s.choice.IntN(len(b.images))] }

func (b *bench) manifestGet() operation {
	return operationFunc(func(s *session) (int64, error) {
		image := b.anyImage(s)
		return int64(len(image.Manifest.Body)), s.fetch(s.manifest(image.Tag), image.Manifest, manifestTypes)
	})
}

func (b *bench) manifestHeadTag() operation {
	return operationFunc(func(s *session) (int64, error) {
		image := b.anyImage(s)
		return 0, s.inspect(s.manifest(image.Tag), image.Manifest.Digest, len(image.Manifest.Body), manifestTypes)
	})
}

func (b *bench) manifestHeadDigest() operation {
	return operationFunc(func(s *session) (int64, error) {
		manifest := b.anyImage(s).Manifest
		return 0, s.inspect(s.manifest(manifest.Digest.String()), manifest.Digest, len(manifest.Body), manifestTypes)
	})
}

func (b *bench) blobHead() operation {
	return operationFunc(func(s *session) (int64, error) {
		layer := b.anyLayer(s)
		return 0, s.inspect(s.blob(layer.Digest), layer.Digest, len(layer.Body))
	})
}

func (b *bench) blobGet() operation {
	return operationFunc(func(s *session) (int64, error) {
		layer := b.anyLayer(s)
		return int64(len(layer.Body)), s.fetch(s.blob(layer.Digest), layer)
	})
}

func (b *bench) anyLayer(s *session) content.Blob {
	return b.anyImage(s).Layers[s.choice.IntN(content.LayersEach)]
}

func (b *bench) largeGet() operation {
	b.withLarge()
	return operationFunc(func(s *session) (int64, error) { return int64(b.LargeBytes), b.fetchLarge(s, b.seeded) })
}

func (b *bench) fetchLarge(s *session, blob content.LargeBlob) error {
	var verifier content.Verifier = s.comparing.Expect(blob.Start, blob.Tail)
	if b.HashLarge {
		verifier = s.hashing.Expect(blob.Digest, int64(blob.Size()))
	}
	target := s.blob(blob.Digest)
	response, err := s.exchange("GET", target, 200, verifier)
	if err != nil {
		return err
	}
	if err := verifier.Verify(); err != nil {
		return s.failed("GET", target, err)
	}
	return s.failed("GET", target, names(response, blob.Digest))
}

func (b *bench) imagePull() operation {
	return operationFunc(func(s *session) (int64, error) { return s.pull(b.anyImage(s)) })
}

// pull gets the manifest by its tag, then each blob.
func (s *session) pull(image *content.Image) (int64, error) {
	moved := int64(len(image.Manifest.Body))
	if err := s.fetch(s.manifest(image.Tag), image.Manifest, manifestTypes); err != nil {
		return 0, err
	}
	for _, blob := range image.Blobs() {
		if err := s.fetch(s.blob(blob.Digest), blob); err != nil {
			return 0, err
		}
		moved += int64(len(blob.Body))
	}
	return moved, nil
}

// tagsList asks for all tags in one page. The first list is read and compared with the tags that were pushed; the
// others must be the same bytes.
type tagsList struct {
	*bench
	first []byte
	name  content.Digest
}

func (t *tagsList) run(s *session) (int64, error) {
	target := fmt.Sprintf("%s/tags/list?n=%d", s.path, t.Tags)
	if t.first == nil {
		var list bytes.Buffer
		if _, err := s.exchange("GET", target, 200, &list); err != nil {
			return 0, err
		}
		if err := t.check(list.Bytes()); err != nil {
			return 0, s.failed("GET", target, err)
		}
		t.first, t.name = list.Bytes(), content.Of(list.Bytes())
		return int64(len(t.first)), nil
	}
	verifier := s.hashing.Expect(t.name, int64(len(t.first)))
	if _, err := s.exchange("GET", target, 200, verifier); err != nil {
		return 0, err
	}
	return int64(len(t.first)), s.failed("GET", target, verifier.Verify())
}

func (t *tagsList) check(body []byte) error {
	var list struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	if list.Name != t.Repository || !slices.Equal(list.Tags, content.Tags(t.Tags)) {
		return fmt.Errorf("lists %d tags of %s, which are not the %d that were pushed", len(list.Tags), list.Name, t.Tags)
	}
	return nil
}
