package eventloop

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"

	"tickcast/wsproto"
)

// readForm returns the parameters of a request for the stream and its topics: of the query and, behind them, of a body, which is
// a form or a JSON object. It answers a request that is refused, and reports false.
func (l *loop) readForm(c *conn, r *wsproto.Request, body []byte) (form url.Values, topics []string, ok bool) {
	form, err := url.ParseQuery(string(r.Query))
	if err != nil {
		l.refuse(c, queryRejection, "malformed query")
		return nil, nil, false
	}
	if body = bytes.TrimSpace(body); len(body) > 0 {
		if why := addBody(form, body); why != "" {
			l.refuse(c, queryRejection, why)
			return nil, nil, false
		}
	}
	if form.Has("topic") && !form.Has("topics") {
		l.refuse(c, queryRejection, "unknown parameter topic: did you mean topics?")
		return nil, nil, false
	}
	if topics, err = topicsOf(form); err != nil {
		l.refuse(c, queryRejection, "topics begins with [ and is no JSON list of strings")
		return nil, nil, false
	}
	return form, topics, true
}

// addBody adds the parameters in a body to form. It returns the reason if they cannot be read.
func addBody(form url.Values, body []byte) (why string) {
	if body[0] != '{' {
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return "the body is neither a form nor a JSON object"
		}
		for name, list := range values {
			form[name] = append(form[name], list...)
		}
		return ""
	}
	var object struct {
		Topics                   []string
		After, Rate, Wait, Token string
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return `the body must be a JSON object such as {"topics":["px.AAPL"],"after":"k3Qd:918273"}`
	}
	if list, err := json.Marshal(object.Topics); err == nil && object.Topics != nil {
		form.Add("topics", string(list))
	}
	for name, value := range map[string]string{"after": object.After, "rate": object.Rate, "wait": object.Wait, "token": object.Token} {
		if value != "" {
			form.Add(name, value)
		}
	}
	return ""
}

// topicsOf returns the topics in a request's query: separated by commas, or a JSON list, in which a topic may have a comma.
func topicsOf(query url.Values) (topics []string, err error) {
	for _, value := range query["topics"] {
		if !strings.HasPrefix(value, "[") {
			topics = append(topics, strings.Split(value, ",")...)
			continue
		}
		var list []string
		if err := json.Unmarshal([]byte(value), &list); err != nil {
			return nil, err
		}
		topics = append(topics, list...)
	}
	return topics, nil
}
