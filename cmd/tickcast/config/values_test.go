package config

import (
	"math"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Size
		text string // the result of String
	}{
		{"", 0, "0"},
		{"0", 0, "0"},
		{"0GiB", 0, "0"},
		{"1", 1, "1B"},
		{"1000", 1000, "1000B"},
		{"1023B", 1023, "1023B"},
		{"1024", 1024, "1KiB"},
		{"16KiB", 16384, "16KiB"},
		{"16 KiB", 16384, "16KiB"},
		{"1536KiB", 1536 << 10, "1536KiB"},
		{"2048KiB", 2 << 20, "2MiB"},
		{"12GiB", 12 << 30, "12GiB"},
		{"9223372036854775807", math.MaxInt64, "9223372036854775807B"},
		{"8589934591GiB", 8589934591 << 30, "8589934591GiB"},
	} {
		got, err := parseSize(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", tt.in, got, err, tt.want)
		}
		if got.String() != tt.text {
			t.Errorf("Size(%d).String() = %q, want %q", got, got, tt.text)
		}
		if again, err := parseSize(got.String()); err != nil || again != got {
			t.Errorf("parseSize(%q) = %d, %v; want %d", got.String(), again, err, got)
		}
	}
	for _, in := range []string{"KiB", "16KB", "16kib", "16K", "16k", "-1", "+1", "1.5MiB", "1 6", "16KiB ", " 16", "1TiB",
		"0x10", "9223372036854775808", "8589934592GiB", "99999999999999999999999GiB"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", in, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
		text string // the result of formatDuration
	}{
		{"0", 0, "0s"},
		{"0s", 0, "0s"},
		{"25s", 25 * time.Second, "25s"},
		{"500ms", 500 * time.Millisecond, "500ms"},
		{"1.5s", 1500 * time.Millisecond, "1.5s"},
		{"60s", time.Minute, "1m"},
		{"90s", 90 * time.Second, "1m30s"},
		{"100us", 100 * time.Microsecond, "100µs"},
		{"1h", time.Hour, "1h"},
		{"70m", 70 * time.Minute, "1h10m"},
		{"10h0m10s", 10*time.Hour + 10*time.Second, "10h0m10s"},
		{"20m", 20 * time.Minute, "20m"},
		{"-1s", -time.Second, "-1s"}, // validate has the ranges
	} {
		got, err := parseDuration(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", tt.in, got, err, tt.want)
		}
		if text := formatDuration(got); text != tt.text {
			t.Errorf("formatDuration(%v) = %q, want %q", got, text, tt.text)
		}
		if again, err := parseDuration(formatDuration(got)); err != nil || again != got {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", formatDuration(got), again, err, got)
		}
	}
	for _, in := range []string{"", "15", "1.5", "-3", "s", "10 s", "10sec", "1d", "forever", "300000h" + "0h300000000h"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", in, got)
		}
	}
}
