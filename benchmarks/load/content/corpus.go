package content

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
)

// ImagesSeeded is the number of images that reads choose from, so that no answer comes from a cache of one entry.
const ImagesSeeded = 64

// Generator gives the reproducible bytes of a named part of the corpus: the process that seeds a server and those
// that measure it later agree on its content by the run's seed alone.
func Generator(seed, part string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256([]byte(seed + "/" + part)))
}

// Images are the images that a server is seeded with.
func Images(seed string) []Image {
	random := Generator(seed, "images")
	images := make([]Image, ImagesSeeded)
	for n := range images {
		images[n] = NewImage(random, fmt.Sprintf("v%d", n))
	}
	return images
}

// Tags are the names of number tags, in the order in which a list gives them.
func Tags(number int) []string {
	tags := make([]string, number)
	for n := range tags {
		tags[n] = fmt.Sprintf("tag-%06d", n)
	}
	return tags
}
