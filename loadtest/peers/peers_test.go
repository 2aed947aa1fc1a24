package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary run as a server and as a fleet.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "fleet") {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestServers(t *testing.T) {
	dir := t.TempDir()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			if p.prepare != nil {
				if err := p.prepare(dir); err != nil && (p.name == wsServer.name || p.name == nchanServer.name) {
					t.Skip(err)
				} else if err != nil {
					t.Fatal(err)
				}
			}
			server, err := startServer(p, 1, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer server.stop()
			clients, err := startClients()
			if err != nil {
				t.Fatal(err)
			}
			defer clients.End()
			const n = 3
			r := &trial{p: p, server: server, clients: clients}
			if err := r.connect(n); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				before, err := clients.Do(order{})
				if err != nil {
					t.Fatal(err)
				}
				last, totals, err := r.send(n)
				if err != nil {
					t.Fatal(err)
				}
				// Earlier bytes may be counted with the first message.
				if got := int(totals.Bytes-before.Bytes) / n; i > 0 && (got < messageSize || got > 2*messageSize) {
					t.Errorf("a message of %d bytes came as %d", messageSize, got)
				}
				if last <= 0 {
					t.Errorf("it took %v", last)
				}
			}
			rss, err := server.rss()
			if err != nil || rss < 1<<20 {
				t.Errorf("RSS %d, %v", rss, err)
			}
			cpu, err := server.cpu()
			if err != nil || cpu <= 0 {
				t.Errorf("CPU time %v, %v", cpu, err)
			}
			if pids := server.pids(); p.name == nchanServer.name && len(pids) != 2 {
				t.Errorf("processes %v, want a master and a worker", pids)
			}
			if p.version() == "" {
				t.Error("no version")
			}
			if _, err := clients.Do(order{Close: true}); err != nil {
				t.Error(err)
			}
			if err := r.await(0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnknownServer(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "-server", "nope"},
		{"serve", "-server", "bare,gorilla"},
		{"serve"},
		{"compare", "-servers", "bare,nope"},
	} {
		err := run(t.Context(), args, nil, new(bytes.Buffer), new(bytes.Buffer))
		if err == nil {
			t.Errorf("%q: no error", args)
			continue
		}
		for _, p := range peers {
			if !strings.Contains(err.Error(), p.name) {
				t.Errorf("%q: %q does not name %s", args, err, p.name)
			}
		}
	}
	if err := run(t.Context(), []string{"nope"}, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("unknown command: %v", err)
	}
}

func TestMessage(t *testing.T) {
	if m := message(); len(m) != messageSize || !bytes.HasPrefix(m, []byte(`{"t":`)) {
		t.Errorf("%d bytes: %s", len(m), m)
	}
}

func TestCompare(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.txt")
	var stdout bytes.Buffer
	err := run(t.Context(), []string{"compare", "-conns", "3", "-rounds", "2", "-messages", "2", "-settle", "1ms", "-servers",
		"gobwas,bare", "-out", out}, nil, &stdout, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(file, stdout.Bytes()) {
		t.Errorf("%v; the file is not what was printed:\n%s", err, file)
	}
	for _, want := range []string{"machine ", "commit ", "gobwas/ws v1.", markdownBegin, markdownEnd,
		"| bare | Go |", "received  gobwas      2 rounds complete, 128 bytes"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
}

func TestCompareEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := run(ctx, []string{"compare", "-conns", "3", "-rounds", "1000000", "-settle", "0", "-servers", "bare"}, nil,
		new(bytes.Buffer), new(bytes.Buffer))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestSkippedAndFailed(t *testing.T) {
	absent := peer{name: "absent", prepare: func(string) error { return errors.New("not installed") }}
	broken := peer{name: "bare", language: "Go", version: thisTree}
	results, skipped := prepare([]peer{absent, broken}, t.TempDir())
	if len(results) != 1 || len(skipped) != 1 {
		t.Fatalf("%d results, skipped %q", len(results), skipped)
	}
	results[0].faults = []string{"round 1: 2 data messages instead of 3"}
	var report bytes.Buffer
	if err := writeReport(&report, results, skipped, plan{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SKIPPED   absent: not installed", "FAILED    bare        round 1: 2 data", "| bare | Go | - | - |"} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("no %q in\n%s", want, &report)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		v      []float64
		digits int
		want   string
	}{
		{nil, 0, "0 (0-0)"},
		{[]float64{3.14}, 1, "3.1 (3.1-3.1)"},
		{[]float64{3, 1, 2}, 0, "2 (1-3)"},
		{[]float64{4, 1, 2, 3}, 2, "2.50 (1.00-4.00)"},
	} {
		if got := spreadOf(tt.v).text(tt.digits); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.v, got, tt.want)
		}
	}
}

func TestTable(t *testing.T) {
	r := &result{
		peer: peer{name: "bare", language: "Go"},
		samples: []sample{
			{memory: 100, cpu: 3, ratio: 1, last: 10, perCPU: 40000, perSecond: 20000},
			{memory: 300, cpu: 4, ratio: 1, last: 12, perCPU: 40002, perSecond: 20002},
		},
	}
	const want = "| bare | Go | 200 (100-300) | 3.50 (3.00-4.00) | 1.00 (1.00-1.00) | 11.0 (10.0-12.0) | " +
		"40001 (40000-40002) | 20001 (20000-20002) |\n"
	var markdown, text bytes.Buffer
	if err := writeMarkdown(&markdown, [][]string{r.row()}); err != nil || !strings.Contains(markdown.String(), want) {
		t.Errorf("%v\n%s", err, &markdown)
	}
	if err := writeTable(&text, [][]string{r.row()}); err != nil || strings.Count(text.String(), "\n") != 2 {
		t.Errorf("%v\n%s", err, &text)
	}
}
