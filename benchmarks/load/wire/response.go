// Package wire is as much of an HTTP/1.1 client as a load generator needs, in as little time as it can take: net/http
// would cost more than the servers do. It is strict where a registry's answer could be wrong, and lacks what no
// registry sends (bodies that end with the connection, trailers that mean something, several answers in flight).
package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Response is the head of an answer, as far as it matters here.
type Response struct {
	Status   int
	Length   int64 // of the body in bytes, as Content-Length says; -1 without such a header
	Chunked  bool
	Close    bool   // the server will close the connection after this answer
	Location string // empty without such a header
	Digest   []byte // Docker-Content-Digest; valid until the next answer is received
}

var headEnd = []byte("\r\n\r\n")

// parseHead reads the head of an answer, which ends with the line end of its last header. The response is reset first.
func parseHead(head []byte, response *Response) error {
	*response = Response{Length: -1, Digest: response.Digest[:0]}
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if err := parseStatus(line, response); err != nil {
		return err
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			return fmt.Errorf("malformed header line %q", line)
		}
		if err := parseHeader(name, bytes.Trim(value, " \t"), response); err != nil {
			return err
		}
	}
	if response.Chunked && response.Length >= 0 {
		return errors.New("both Content-Length and Transfer-Encoding (RFC 9112, 6.3)")
	}
	return nil
}

func parseStatus(line []byte, response *Response) error {
	// "HTTP/1.1 200" and, after a space, a reason that may be empty (RFC 9112, 4).
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) || len(line) > 12 && line[12] != ' ' {
		return fmt.Errorf("malformed status line %q", line)
	}
	status, err := strconv.ParseUint(string(line[9:12]), 10, 16)
	if err != nil || status < 100 {
		return fmt.Errorf("malformed status line %q", line)
	}
	response.Status = int(status)
	return nil
}

// parseHeader keeps the headers that matter. The length of the name tells most others apart without comparing.
func parseHeader(name, value []byte, response *Response) error {
	switch len(name) {
	case len("Location"):
		if is(name, "Location") {
			response.Location = string(value)
		}
	case len("Connection"):
		if is(name, "Connection") && is(value, "close") {
			response.Close = true
		}
	case len("Content-Length"):
		if !is(name, "Content-Length") {
			return nil
		}
		length, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || response.Length >= 0 && response.Length != int64(length) {
			return fmt.Errorf("malformed or contradicting Content-Length %q", value)
		}
		response.Length = int64(length)
	case len("Transfer-Encoding"):
		if !is(name, "Transfer-Encoding") {
			return nil
		}
		if !is(value, "chunked") {
			return fmt.Errorf("unknown Transfer-Encoding %q", value)
		}
		response.Chunked = true
	case len("Docker-Content-Digest"):
		if is(name, "Docker-Content-Digest") {
			response.Digest = append(response.Digest, value...)
		}
	}
	return nil
}

func is(name []byte, expected string) bool { return bytes.EqualFold(name, []byte(expected)) }
