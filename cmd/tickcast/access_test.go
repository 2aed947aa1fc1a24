package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickcast/broadcast/auth/authtest"
)

// keyFiles writes a key pair into files and returns their names.
func keyFiles(t *testing.T) (private, public string) {
	t.Helper()
	p := authtest.NewPair(t, "EdDSA")
	dir := t.TempDir()
	private, public = filepath.Join(dir, "key.pem"), filepath.Join(dir, "public.pem")
	for name, content := range map[string][]byte{private: p.Private, public: p.Public} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return private, public
}

// tickcastToken runs tickcast token.
func tickcastToken(t *testing.T, args ...string) string {
	t.Helper()
	var out, log bytes.Buffer
	if err := run(context.Background(), append([]string{"token"}, args...), nil, &out, &log); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// post sends a request to the internal port.
func (r *running) post(path string, header ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest("POST", strings.TrimSuffix(r.metrics, "/metrics")+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// Two servers over one NATS: a revocation at one of them ends connections at both, and no client can use the control
// subject.
func TestRevocationOnAllServers(t *testing.T) {
	private, public := keyFiles(t)
	ns := natsServer(t, 0)
	config := fmt.Sprintf("[nats]\nurls = [%q]\n[auth]\nkeys = [%q]\nquery = true\n[subscribe]\ntopics = []\n", ns.ClientURL(), public)
	first, second := startServer(t, config), startServer(t, config)
	first.ready() // else a revocation does not reach the other
	second.ready()
	token := func(user, id string) string {
		return tickcastToken(t, "-key", private, "-user", user, "-id", id, "-subscribe", ">", "-publish", ">")
	}
	url := func(s *running, user, id string) string { return s.stream + "?topics=%3E&token=" + token(user, id) }
	a, b, c := dial(t, url(first, "alice", "1")), dial(t, url(second, "alice", "2")), dial(t, url(second, "bob", "3"))
	for _, client := range []*client{a, b, c} {
		client.untilOp("ack")
	}
	c.send(`{"op":"sub","id":7,"topics":["_tickcast.control","_tickcast.>"]}`)
	c.until("a refusal", func(m serverMessage) bool { return m.Op == "ack" && m.ID == 7 })
	c.send(`{"op":"pub","id":8,"topic":"_tickcast.control","data":{}}`)
	c.until("a refusal", func(m serverMessage) bool { return m.Op == "err" && m.ID == 8 })

	if status, body := first.post("/revoke?user=alice", "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("from a web page: %d %s", status, body)
	}
	if status, body := first.post("/revoke"); status != 400 {
		t.Errorf("of nobody: %d %s", status, body)
	}
	if status, body := first.post("/revoke?user=alice"); status != 200 || !strings.Contains(body, "all servers") {
		t.Fatalf("%d %s", status, body)
	}
	for _, client := range []*client{a, b} {
		if code := client.closeCode(); code != 4503 {
			t.Errorf("closed with %d", code)
		}
	}
	nc := connect(t, ns.ClientURL())
	nc.Publish("_tickcast.control", []byte("nonsense"))
	nc.Flush()
	keepPublishing(t, ns.ClientURL(), "news", "1") // NATS may not have the subscription yet
	c.until("news and nothing of the control subject", func(m serverMessage) bool {
		if strings.HasPrefix(m.Topic, "_") {
			t.Errorf("%+v", m)
		}
		return m.Topic == "news"
	})
	if status, _ := second.post("/revoke?token=3&for=1h"); status != 200 || c.closeCode() != 4503 {
		t.Error("the token is not revoked")
	}
	second.shows("tickcast_revocations 2", "tickcast_kicked_total 2")
	for _, s := range []*running{first, second} {
		if log := s.log.String(); strings.Contains(log, "eyJ") || strings.Contains(log, "panic") {
			t.Errorf("the log shows a token, or worse:\n%s", log)
		}
	}
}

func TestTokenCommand(t *testing.T) {
	private, _ := keyFiles(t)
	if token := tickcastToken(t, "-key", private, "-user", "u", "-for", "5m", "-connections", "2", "-kid", "k"); strings.Count(token, ".") != 2 {
		t.Error(token)
	}
	for _, args := range [][]string{{}, {"-key", "none.pem"}, {"-key", private, "x"}, {"-nonsense"}} {
		if err := run(context.Background(), append([]string{"token"}, args...), nil, io.Discard, io.Discard); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	var out bytes.Buffer
	if err := run(context.Background(), []string{"token", "-h"}, nil, &out, io.Discard); err != nil || !strings.HasPrefix(out.String(), "Usage:") {
		t.Errorf("%v %s", err, &out)
	}
}
