package eventloop

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
)

// A page is a Page ready to be sent.
type page struct {
	full        []byte // the response's head without Date and the empty line
	notModified []byte // the same for a client that holds this very body
	etag        []byte
	body        []byte
}

// securityHeaders let a page load its own files only, and no other site frame it.
const securityHeaders = "X-Content-Type-Options: nosniff\r\n" +
	"Content-Security-Policy: default-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'\r\n" +
	"Referrer-Policy: same-origin\r\n"

func newPage(p Page) *page {
	sum := sha256.Sum256(p.Body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	caching := "ETag: " + etag + "\r\nCache-Control: no-cache\r\n"
	return &page{
		full: []byte("HTTP/1.1 200 OK\r\nContent-Type: " + p.ContentType + "\r\nContent-Length: " + strconv.Itoa(len(p.Body)) +
			"\r\n" + caching + securityHeaders),
		notModified: []byte("HTTP/1.1 304 Not Modified\r\n" + caching),
		etag:        []byte(etag),
		body:        p.Body,
	}
}

// heldBy reports whether the value of If-None-Match names the page's etag, which has no comma, by the weak comparison of
// RFC 9110 section 8.8.3.2; * names every page.
func (p *page) heldBy(ifNoneMatch []byte) bool {
	for tag := range bytes.SplitSeq(ifNoneMatch, []byte(",")) {
		tag = bytes.Trim(tag, " \t")
		if string(tag) == "*" || bytes.Equal(bytes.TrimPrefix(tag, []byte("W/")), p.etag) {
			return true
		}
	}
	return false
}
