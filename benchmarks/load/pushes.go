package main

import (
	"crypto/rand"
	"fmt"
	"io"

	"load/content"
	"load/wire"
)

// An audited operation is asked, after the measurement and untimed, whether what it pushed can be read.
type audited interface {
	operation
	audit(s *session) error
}

func freshSeed() (seed [32]byte) {
	_, _ = rand.Read(seed[:]) // never fails, as its documentation says
	return seed
}

// begin opens an upload session and gives the place where its bytes go.
func (s *session) begin() (string, error) {
	response, err := s.upload("POST", s.path+"/blobs/uploads/", 202, nil)
	if err != nil {
		return "", err
	}
	return s.follow(response)
}

// created is the answer to a PUT that published a blob or a manifest.
func (s *session) created(response *wire.Response, err error, digest content.Digest) error {
	if err != nil {
		return err
	}
	return s.failed("PUT", response.Location, names(response, digest))
}

// largePush pushes a large blob that is new to the server. Sent in one piece it is a POST and a PUT with the body
// (end-4a, end-6); in chunks, a POST, PATCHes with Content-Range and a PUT without a body (end-5).
type largePush struct {
	*bench
	chunked bool
	last    content.LargeBlob
}

func (p *largePush) run(s *session) (int64, error) {
	blob := p.large.New(s.random)
	target, err := s.begin()
	if err != nil {
		return 0, err
	}
	var rest [][]byte
	if p.chunked {
		target, err = p.patch(s, target, blob)
		if err != nil {
			return 0, err
		}
	} else {
		rest = blob.Slice(0, blob.Size())
	}
	response, err := s.upload("PUT", finished(target, blob.Digest), 201, rest, "Content-Type: application/octet-stream")
	if err := s.created(response, err, blob.Digest); err != nil {
		return 0, err
	}
	p.last = blob
	return int64(blob.Size()), nil
}

func (p *largePush) patch(s *session, target string, blob content.LargeBlob) (string, error) {
	for start := 0; start < blob.Size(); start += p.ChunkBytes {
		end := min(start+p.ChunkBytes, blob.Size())
		response, err := s.upload("PATCH", target, 202, blob.Slice(start, end), "Content-Type: application/octet-stream",
			fmt.Sprintf("Content-Range: %d-%d", start, end-1))
		if err != nil {
			return "", err
		}
		if target, err = s.follow(response); err != nil {
			return "", err
		}
	}
	return target, nil
}

func (p *largePush) audit(s *session) error {
	if p.last.Tail == nil {
		return nil
	}
	return p.fetchLarge(s, p.last)
}

// imagePush pushes a new image under a new tag.
type imagePush struct {
	name   string
	number int
	last   *content.Image
}

func (p *imagePush) run(s *session) (int64, error) {
	image := content.NewImage(s.random, fmt.Sprintf("%s-%d", p.name, p.number))
	p.number++
	moved, err := s.push(&image)
	p.last = &image
	return moved, err
}

func (p *imagePush) audit(s *session) error {
	if p.last == nil {
		return nil
	}
	_, err := s.pull(p.last)
	return err
}

// push does what docker does for each blob: HEAD, POST, one PATCH whose length it does not announce, a PUT without a
// body, and a HEAD to see what it pushed; and in the end it puts the manifest under its tag.
func (s *session) push(image *content.Image) (int64, error) {
	moved := int64(len(image.Manifest.Body))
	for _, blob := range append(image.Layers[:len(image.Layers):len(image.Layers)], image.Config) {
		if err := s.pushBlob(blob); err != nil {
			return 0, err
		}
		moved += int64(len(blob.Body))
	}
	return moved, s.tag(image.Tag, image.Manifest)
}

func (s *session) pushBlob(blob content.Blob) error {
	if _, err := s.exchange("HEAD", s.blob(blob.Digest), 404, io.Discard); err != nil {
		return err
	}
	target, err := s.begin()
	if err != nil {
		return err
	}
	response, err := s.stream("PATCH", target, 202, blob.Body)
	if err != nil {
		return err
	}
	if target, err = s.follow(response); err != nil {
		return err
	}
	response, err = s.upload("PUT", finished(target, blob.Digest), 201, nil)
	if err := s.created(response, err, blob.Digest); err != nil {
		return err
	}
	return s.inspect(s.blob(blob.Digest), blob.Digest, len(blob.Body))
}

// tag puts a manifest under a tag.
func (s *session) tag(tag string, manifest content.Blob) error {
	response, err := s.upload("PUT", s.manifest(tag), 201, [][]byte{manifest.Body}, "Content-Type: "+content.ManifestType)
	return s.created(response, err, manifest.Digest)
}
