package main

import (
	"fmt"

	"load/content"
)

// rows are what can be measured: each makes what the clients share, once, and gives what makes a client's operation.
var rows = map[string]func(b *bench) func(client int) operation{
	"manifest-get":         shared((*bench).manifestGet),
	"manifest-head-tag":    shared((*bench).manifestHeadTag),
	"manifest-head-digest": shared((*bench).manifestHeadDigest),
	"blob-head":            shared((*bench).blobHead),
	"blob-get-small":       shared((*bench).blobGet),
	"blob-get-large":       shared((*bench).largeGet),
	"image-pull":           shared((*bench).imagePull),
	"push-large":           largePushes(false),
	"push-large-chunked":   largePushes(true),
	"image-push": func(b *bench) func(int) operation {
		return func(client int) operation { return &imagePush{name: fmt.Sprintf("p%d-%d", b.Sample, client)} }
	},
	"tags-list": func(b *bench) func(int) operation {
		return func(int) operation { return &tagsList{bench: b} }
	},
}

// shared is a row whose operation keeps nothing, so that all clients use one.
func shared(make func(b *bench) operation) func(b *bench) func(int) operation {
	return func(b *bench) func(int) operation {
		one := make(b)
		return func(int) operation { return one }
	}
}

func largePushes(chunked bool) func(b *bench) func(int) operation {
	return func(b *bench) func(int) operation {
		b.withLarge()
		return func(int) operation { return &largePush{bench: b, chunked: chunked} }
	}
}

// preparations fill a server with what the rows read. They are not measured.
var preparations = map[string]func(b *bench) error{
	"seed-images": func(b *bench) error {
		return b.seed(func(s *session) error {
			for n := range b.images {
				if _, err := s.push(&b.images[n]); err != nil {
					return err
				}
			}
			return nil
		})
	},
	"seed-large": func(b *bench) error {
		b.withLarge()
		return b.seed(func(s *session) error {
			target, err := s.begin()
			if err != nil {
				return err
			}
			response, err := s.upload("PUT", finished(target, b.seeded.Digest), 201, b.seeded.Slice(0, b.seeded.Size()),
				"Content-Type: application/octet-stream")
			return s.created(response, err, b.seeded.Digest)
		})
	},
	"seed-tags": func(b *bench) error {
		return b.seed(func(s *session) error {
			// Of the image only the layers' names matter, but the server asks for the blobs.
			image := content.NewImage(s.random, content.Tags(1)[0])
			if _, err := s.push(&image); err != nil {
				return err
			}
			for _, tag := range content.Tags(b.Tags) {
				if err := s.tag(tag, image.Manifest); err != nil {
					return err
				}
			}
			return nil
		})
	},
}

func (b *bench) seed(work func(s *session) error) error {
	s, err := b.connect(0, b.deadline())
	if err != nil {
		return err
	}
	defer s.Close()
	return work(s)
}
