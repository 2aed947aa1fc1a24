package main

import (
	"bytes"
	"embed"
	"html"
	"io/fs"
	"path"
	"strings"

	"tickcast/eventloop"
)

//go:embed web
var web embed.FS

// contentTypes of what is served from web/; other files there are not served.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

// streamMeta is how index.html names the stream: relative to itself, so that a proxy may put both under a path of its own.
const streamMeta = `<meta name="stream" content="stream">`

// webPages returns the files of web/ under their names, and index.html under /, told where the stream is.
func webPages(streamPath string) ([]eventloop.Page, error) {
	names, err := fs.Glob(web, "web/*")
	if err != nil {
		return nil, err
	}
	var pages []eventloop.Page
	for _, name := range names {
		contentType := contentTypes[path.Ext(name)]
		if contentType == "" {
			continue
		}
		body, err := web.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p := eventloop.Page{Path: "/" + path.Base(name), ContentType: contentType, Body: body}
		if p.Path == "/index.html" {
			p.Path = "/"
			relative := html.EscapeString("." + streamPath)
			p.Body = bytes.Replace(body, []byte(streamMeta), []byte(strings.Replace(streamMeta, `"stream">`, `"`+relative+`">`, 1)), 1)
		}
		pages = append(pages, p)
	}
	return pages, nil
}
