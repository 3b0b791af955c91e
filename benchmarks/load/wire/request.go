package wire

// Head writes the head of a request into buffer, whose content is overwritten. Each header is a whole line without its
// end. A body, where there is one, must be announced by them.
func Head(buffer []byte, method, target, host, token string, headers ...string) []byte {
	head := append(buffer[:0], method...)
	head = append(head, ' ')
	head = append(head, target...)
	head = append(head, " HTTP/1.1\r\nHost: "...)
	head = append(head, host...)
	head = append(head, "\r\nAuthorization: Bearer "...)
	head = append(head, token...)
	for _, header := range headers {
		head = append(head, "\r\n"...)
		head = append(head, header...)
	}
	return append(head, headEnd...)
}
