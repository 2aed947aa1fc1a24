package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Latest asks once for the newest messages of topics, without a connection. Topics of which the server holds none are not in the list.
// Refused topics are joined *Errors, beside the messages of the others.
func (c *Client) Latest(ctx context.Context, topics ...string) ([]Message, error) {
	body, err := json.Marshal(map[string]any{"topics": topics})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	d, err := c.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("client: token: %w", err)
	}
	address := httpOf(d.url).ResolveReference(&url.URL{Path: "latest"})
	r, err := http.NewRequestWithContext(ctx, "POST", address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	r.Header = d.header
	r.Header.Set("Content-Type", "application/json")
	resp, err := d.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, messageMax))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return newest(resp, answer)
}

// newest reads an answer: a list of messages, with an ack before them if topics are refused.
func newest(resp *http.Response, answer []byte) (list []Message, err error) {
	var all []input
	if json.Unmarshal(answer, &all) != nil || resp.StatusCode != http.StatusOK && len(all) == 0 {
		return nil, &Error{Code: resp.StatusCode, Message: strings.TrimSpace(string(answer))}
	}
	var errs []error
	for _, in := range all {
		for _, e := range in.Errors {
			errs = append(errs, &Error{Code: e.Code, Message: e.Message, Topic: e.Topic})
		}
		switch in.Op {
		case "":
			list = append(list, in.message())
		case "err":
			errs = append(errs, &Error{Code: in.Code, Message: in.Msg})
		}
	}
	return list, errors.Join(errs...)
}
