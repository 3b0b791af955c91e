package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// bufferSize bounds the head of an answer, and is what one read of a body takes at most. It fits the second-level
// cache, so that what was read is still there when it is verified.
const bufferSize = 256 << 10

// errorExcerpt is how much of an unexpected answer's body is shown, in bytes.
const errorExcerpt = 500

// Connection is one client's connection, kept alive over all its requests.
type Connection struct {
	Reconnects int // how often the server made the client connect again

	address  string
	deadline time.Time
	conn     net.Conn
	buffer   []byte
	unread   []byte // the part of buffer that is received and not yet used
	response Response
}

// Dial connects. Whatever is not done at the deadline fails.
func Dial(address string, deadline time.Time) (*Connection, error) {
	connection := &Connection{address: address, deadline: deadline, buffer: make([]byte, bufferSize)}
	return connection, connection.dial()
}

func (c *Connection) dial() error {
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		return err
	}
	c.conn, c.unread = conn, nil
	return conn.SetDeadline(c.deadline)
}

// Close ends the connection.
func (c *Connection) Close() error { return c.conn.Close() }

// Send writes a request that begins with head. Where the server answered and closed before it had read all, that answer
// is more telling than the failed write: ask Receive.
func (c *Connection) Send(head []byte, body ...[]byte) error {
	if c.response.Close {
		c.Reconnects++
		_ = c.conn.Close()
		if err := c.dial(); err != nil {
			return err
		}
	}
	if _, err := c.conn.Write(head); err != nil {
		return err
	}
	for _, piece := range body {
		if _, err := c.conn.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// Receive reads the answer to a request that was sent. The body goes to sink if the status is the expected one, and
// into the error otherwise. The answer is valid until the next call.
func (c *Connection) Receive(expected int, bodiless bool, sink io.Writer) (*Response, error) {
	for {
		if err := c.receiveHead(); err != nil {
			return nil, err
		}
		if c.response.Status >= 200 { // anything less is interim, and the answer follows (RFC 9110, 15.2)
			break
		}
	}
	response := &c.response
	var unexpected bytes.Buffer
	if response.Status != expected {
		sink = &unexpected
	}
	if !bodiless && response.Status != 204 && response.Status != 304 {
		if err := c.receiveBody(sink); err != nil {
			return nil, err
		}
	}
	if response.Status != expected {
		excerpt := unexpected.Bytes()
		return nil, fmt.Errorf("status %d instead of %d: %s", response.Status, expected, excerpt[:min(len(excerpt), errorExcerpt)])
	}
	return response, nil
}

// fill reads more from the network behind what is still unread.
func (c *Connection) fill() error {
	kept := copy(c.buffer, c.unread) // copy allows the two to overlap
	if kept == len(c.buffer) {
		return fmt.Errorf("a head or chunk line of more than %d bytes", kept)
	}
	number, err := c.conn.Read(c.buffer[kept:])
	c.unread = c.buffer[:kept+number]
	if number > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *Connection) receiveHead() error {
	searched := 0
	for {
		if at := bytes.Index(c.unread[searched:], headEnd); at >= 0 {
			head := c.unread[:searched+at]
			c.unread = c.unread[searched+at+len(headEnd):]
			return parseHead(head, &c.response)
		}
		searched = max(len(c.unread)-len(headEnd)+1, 0)
		if err := c.fill(); err != nil {
			return fmt.Errorf("while waiting for an answer: %w", err)
		}
	}
}

func (c *Connection) receiveBody(sink io.Writer) error {
	switch {
	case c.response.Chunked:
		return c.receiveChunks(sink)
	case c.response.Length >= 0:
		return c.pass(c.response.Length, sink)
	}
	return errors.New("an answer without a length, which ends a connection that was to be kept")
}

// pass hands length bytes to sink as they arrive.
func (c *Connection) pass(length int64, sink io.Writer) error {
	for length > 0 {
		if len(c.unread) == 0 {
			if err := c.fill(); err != nil {
				return fmt.Errorf("%d bytes before the end of a body: %w", length, err)
			}
		}
		piece := c.unread[:min(length, int64(len(c.unread)))]
		if _, err := sink.Write(piece); err != nil {
			return err
		}
		c.unread = c.unread[len(piece):]
		length -= int64(len(piece))
	}
	return nil
}

// receiveChunks reads a body in chunked coding (RFC 9112, 7.1).
func (c *Connection) receiveChunks(sink io.Writer) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, err := chunkSize(line)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if err := c.pass(size, sink); err != nil {
			return err
		}
		if line, err = c.line(); err != nil {
			return err
		}
		if len(line) > 0 {
			return fmt.Errorf("a chunk is longer than it said: %q follows", line[:min(len(line), errorExcerpt)])
		}
	}
	for { // trailers, of which none matters
		if line, err := c.line(); err != nil || len(line) == 0 {
			return err
		}
	}
}

// line reads up to the next line end, valid until the next read.
func (c *Connection) line() ([]byte, error) {
	for {
		if line, rest, found := bytes.Cut(c.unread, []byte("\r\n")); found {
			c.unread = rest
			return line, nil
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

func chunkSize(line []byte) (int64, error) {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	var size int64
	if len(digits) == 0 || len(digits) > 15 {
		return 0, fmt.Errorf("malformed chunk size %q", line)
	}
	for _, digit := range digits {
		switch {
		case digit >= '0' && digit <= '9':
			size = size<<4 | int64(digit-'0')
		case digit|0x20 >= 'a' && digit|0x20 <= 'f':
			size = size<<4 | int64(digit|0x20-'a'+10)
		default:
			return 0, fmt.Errorf("malformed chunk size %q", line)
		}
	}
	return size, nil
}
