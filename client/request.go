package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	getMax     = 4000     // bytes of a form in the address; a longer one is the body of a POST
	refusalMax = 64 << 10 // bytes that are read of the body of a refusal
)

var errTooLong = errors.New("client: a message of the server is too long")

// ask sends a request with a form.
func (d *dial) ask(ctx context.Context, form url.Values, accept string) (*http.Response, error) {
	u, text := httpOf(d.url), form.Encode()
	method, body := http.MethodGet, io.Reader(nil)
	if len(text) < getMax {
		query := u.Query()
		for name, values := range form {
			query[name] = values
		}
		u.RawQuery = query.Encode()
	} else {
		method, body = http.MethodPost, strings.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	r.Header = d.header.Clone()
	r.Header.Set("Accept", accept)
	r.Header["Idempotency-Key"] = nil // not sent: it lets net/http send a POST again on another connection where the kept one has ended
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	unhurried := *d.http
	unhurried.Timeout = 0 // which would end a stream: the opening and the heartbeats have times of their own
	return unhurried.Do(r)
}

// httpOf returns the address of a stream for requests that open no WebSocket.
func httpOf(u url.URL) *url.URL {
	u.Scheme = "http" + strings.TrimPrefix(u.Scheme, "ws")
	return &u
}

// refused returns the ending by a response, nil if there is none, that opens no line.
func refused(resp *http.Response, reason string) ending {
	e := ending{reason: reason}
	if resp == nil {
		return e
	}
	e.code = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		wait := time.Duration(min(seconds, 3600)) * time.Second
		e.wait, e.named = between(wait, wait*3/2), true
	}
	return e
}

// refusedForm returns the ending by a response to a form. It closes the body.
func refusedForm(resp *http.Response) ending {
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, refusalMax))
	e := refused(resp, reasonOf(b))
	if e.reason == "" {
		e.reason = "HTTP " + strconv.Itoa(resp.StatusCode)
	}
	if e.code < 300 {
		e.code = http.StatusNotAcceptable // no answer of this transport
	}
	return e
}

// reasonOf returns the server's reason for refusing all topics of a poll; empty if the body is no such refusal.
func reasonOf(body []byte) string {
	var all []input
	if json.Unmarshal(body, &all) != nil {
		return ""
	}
	for _, in := range all {
		if len(in.Errors) > 0 {
			return in.Errors[0].Topic + ": " + in.Errors[0].Message
		}
		if in.Op == "err" {
			return in.Msg
		}
	}
	return ""
}

// lineContext returns the context of a line that is opened by requests, and its end. Until opened is called the opening's context ends
// it too; opened reports whether it has not.
func lineContext(opening context.Context) (ctx context.Context, cancel context.CancelFunc, opened func() bool) {
	ctx, cancel = context.WithCancel(context.WithoutCancel(opening))
	return ctx, cancel, context.AfterFunc(opening, cancel)
}
