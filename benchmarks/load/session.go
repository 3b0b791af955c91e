package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"load/content"
	"load/wire"
)

// session is one client: its connection, its token and what it uses again and again.
type session struct {
	*wire.Connection
	host, token string
	path        string // of the repository: /v2/<name>
	random      *rand.ChaCha8
	choice      *rand.Rand
	requests    int
	head        []byte
	hashing     content.Hashing
	comparing   content.Comparing
}

// manifestTypes is what docker accepts when it asks for a manifest.
const manifestTypes = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, " +
	"application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"

const userAgent = "User-Agent: portolan-benchmark"

func (b *bench) connect(client int, deadline time.Time) (*session, error) {
	connection, err := wire.Dial(b.Address, deadline)
	if err != nil {
		return nil, err
	}
	// Pushes must be new to the server, so this generator is not reproducible as the corpus is.
	random := rand.NewChaCha8(freshSeed())
	s := &session{
		Connection: connection, host: b.Address, token: b.Tokens[client], path: "/v2/" + b.Repository,
		random: random, choice: rand.New(random),
	}
	// A first request makes both servers know the connection and the token before anything is timed.
	_, err = s.exchange("GET", "/v2/", 200, io.Discard)
	return s, err
}

// exchange sends a request without a body and receives the answer's body into sink.
func (s *session) exchange(method, target string, expected int, sink io.Writer, headers ...string) (*wire.Response, error) {
	headers = append(headers, userAgent)
	s.head = wire.Head(s.head, method, target, s.host, s.token, headers...)
	s.requests++
	if err := s.Send(s.head); err != nil {
		return nil, s.failed(method, target, err)
	}
	response, err := s.Receive(expected, method == "HEAD", sink)
	return response, s.failed(method, target, err)
}

// upload sends a request with a body of known length.
func (s *session) upload(method, target string, expected int, body [][]byte, headers ...string) (*wire.Response, error) {
	length := 0
	for _, piece := range body {
		length += len(piece)
	}
	headers = append(headers, userAgent, "Content-Length: "+strconv.Itoa(length))
	s.head = wire.Head(s.head, method, target, s.host, s.token, headers...)
	if length <= content.LayerSize && len(body) == 1 {
		s.head, body = append(s.head, body[0]...), nil // one write, as every client's buffer makes of it
	}
	return s.sendAndReceive(method, target, expected, body)
}

// stream sends a small body in chunked coding, as docker does, which does not know the length before.
func (s *session) stream(method, target string, expected int, body []byte) (*wire.Response, error) {
	s.head = wire.Head(s.head, method, target, s.host, s.token, userAgent, "Transfer-Encoding: chunked")
	s.head = append(strconv.AppendInt(s.head, int64(len(body)), 16), "\r\n"...)
	s.head = append(append(s.head, body...), "\r\n0\r\n\r\n"...)
	return s.sendAndReceive(method, target, expected, nil)
}

func (s *session) sendAndReceive(method, target string, expected int, body [][]byte) (*wire.Response, error) {
	s.requests++
	sent := s.Send(s.head, body...)
	response, err := s.Receive(expected, false, io.Discard)
	if err == nil && sent != nil {
		err = fmt.Errorf("answered before the body was sent: %w", sent)
	}
	return response, s.failed(method, target, err)
}

func (s *session) failed(method, target string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", method, target, err)
}

// fetch gets a blob or manifest and verifies it.
func (s *session) fetch(target string, blob content.Blob, headers ...string) error {
	verifier := s.hashing.Expect(blob.Digest, int64(len(blob.Body)))
	response, err := s.exchange("GET", target, 200, verifier, headers...)
	if err != nil {
		return err
	}
	if err := verifier.Verify(); err != nil {
		return s.failed("GET", target, err)
	}
	return s.failed("GET", target, names(response, blob.Digest))
}

// inspect asks for a blob's or manifest's head and verifies what it says.
func (s *session) inspect(target string, digest content.Digest, size int, headers ...string) error {
	response, err := s.exchange("HEAD", target, 200, nil, headers...)
	if err != nil {
		return err
	}
	if response.Length != int64(size) {
		return s.failed("HEAD", target, fmt.Errorf("Content-Length %d, expected %d", response.Length, size))
	}
	return s.failed("HEAD", target, names(response, digest))
}

// names checks the digest that an answer says it is about.
func names(response *wire.Response, expected content.Digest) error {
	digest, err := content.Parse(response.Digest)
	if err != nil {
		return fmt.Errorf("Docker-Content-Digest: %w", err)
	}
	if digest != expected {
		return fmt.Errorf("Docker-Content-Digest is %s, expected %s", digest, expected)
	}
	return nil
}

func (s *session) blob(digest content.Digest) string { return s.path + "/blobs/" + digest.String() }
func (s *session) manifest(reference string) string  { return s.path + "/manifests/" + reference }
func (s *session) follow(response *wire.Response) (string, error) {
	return location(response.Location, s.host)
}

// location turns a Location header into a request target. Servers may give a path or a whole address, which must be
// their own.
func location(value, host string) (string, error) {
	if rest, found := strings.CutPrefix(value, "http://"+host); found {
		value = rest
	}
	if !strings.HasPrefix(value, "/") {
		return "", fmt.Errorf("the location %q is not on %s", value, host)
	}
	return value, nil
}

// finished adds the digest to the location that an upload is closed at.
func finished(target string, digest content.Digest) string {
	joint := "?"
	if strings.Contains(target, "?") {
		joint = "&"
	}
	return target + joint + "digest=sha256%3A" + digest.Hex()
}
