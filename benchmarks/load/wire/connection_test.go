package wire

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// answering gives a connection whose server has sent answer, in reads of one byte or as many as there are, and closed.
func answering(t *testing.T, answer string, bytewise bool) *Connection {
	t.Helper()
	reader := io.Reader(strings.NewReader(answer))
	if bytewise {
		reader = iotest.OneByteReader(reader)
	}
	return &Connection{conn: recorded{Reader: reader}, buffer: make([]byte, 1024)}
}

type recorded struct {
	net.Conn
	io.Reader
}

func (r recorded) Read(buffer []byte) (int, error) { return r.Reader.Read(buffer) }

func TestAnswersAreRead(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 200)
	cases := map[string]struct{ answer, body string }{
		"with a length":   {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
		"in any case":     {"HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:5\r\n\r\nhello", "hello"},
		"empty":           {"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""},
		"without reason":  {"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", ""},
		"past the buffer": {"HTTP/1.1 200 OK\r\ncontent-length: 3200\r\n\r\n" + long, long},
		"in chunks":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, harbours\r\n0\r\n\r\n", "hello, harbours"},
		"a long chunk":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nC80\r\n" + long + "\r\n0\r\nX: y\r\n\r\n", long},
		"after interim":   {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
	}
	for name, each := range cases {
		for _, bytewise := range []bool{false, true} {
			// Twice, for what is left over after an answer belongs to the next.
			connection := answering(t, each.answer+each.answer, bytewise)
			for range 2 {
				var body bytes.Buffer
				if _, err := connection.Receive(200, false, &body); err != nil || body.String() != each.body {
					t.Errorf("%s (byte by byte: %v): %q, %v", name, bytewise, body.String(), err)
				}
			}
			if _, err := connection.Receive(200, false, io.Discard); err == nil {
				t.Errorf("%s: an answer came from nowhere", name)
			}
		}
	}
}

func TestHeadersAreKept(t *testing.T) {
	head := "HTTP/1.1 202 Accepted\r\nDocker-Content-Digest: sha256:ab\r\nLocation:  http://localhost:5000/v2/x?y=z:1 \r\n" +
		"Connection: close\r\nContent-Length: 7\r\n\r\n"
	connection := answering(t, head, false)
	response, err := connection.Receive(202, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.Location != "http://localhost:5000/v2/x?y=z:1" || string(response.Digest) != "sha256:ab" ||
		!response.Close || response.Length != 7 || response.Chunked {
		t.Errorf("%+v", response)
	}
}

func TestHeadersOfOneAnswerDoNotReachTheNext(t *testing.T) {
	connection := answering(t, "HTTP/1.1 200 OK\r\nDocker-Content-Digest: sha256:ab\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"+
		"HTTP/1.1 204 No Content\r\n\r\n", false)
	if _, err := connection.Receive(200, false, io.Discard); err != nil {
		t.Fatal(err)
	}
	response, err := connection.Receive(204, false, io.Discard)
	if err != nil || response.Location != "" || len(response.Digest) != 0 || response.Length != -1 {
		t.Errorf("%+v, %v", response, err)
	}
}

func TestMalformedAnswersAreRefused(t *testing.T) {
	for _, answer := range []string{
		"", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 2000\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nendless", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhe",
		"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nh", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n",
	} {
		if _, err := answering(t, answer, false).Receive(200, false, io.Discard); err == nil {
			t.Errorf("%q was accepted", answer)
		}
	}
}

func TestAnUnexpectedStatusIsAnErrorThatShowsTheBody(t *testing.T) {
	connection := answering(t, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", false)
	if _, err := connection.Receive(200, false, io.Discard); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Error(err)
	}
}

func TestAConnectionThatTheServerClosesIsOpenedAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 100))
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
			conn.Close()
		}
	}()
	connection, err := Dial(listener.Addr().String(), time.Now().Add(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	for range 3 {
		if err := connection.Send(Head(nil, "GET", "/", "host", "token")); err != nil {
			t.Fatal(err)
		}
		if _, err := connection.Receive(200, false, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if connection.Reconnects != 2 {
		t.Errorf("connected again %d times", connection.Reconnects)
	}
}

func TestHeadWritesARequest(t *testing.T) {
	head := Head([]byte("reused"), "PUT", "/v2/x", "localhost:5000", "abc", "Content-Length: 3", "A: b")
	expected := "PUT /v2/x HTTP/1.1\r\nHost: localhost:5000\r\nAuthorization: Bearer abc\r\nContent-Length: 3\r\nA: b\r\n\r\n"
	if string(head) != expected {
		t.Errorf("%q", head)
	}
}
