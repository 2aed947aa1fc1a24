package tlsrecord

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"
	"time"
)

// reportCPU reports the CPU time of an operation, which other programs disturb less than its time. The caller defers the result.
func reportCPU(b *testing.B) (end func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begin := used()
	return func() { b.ReportMetric(float64(used()-begin)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkHandshake runs both sides of a full handshake.
func BenchmarkHandshake(b *testing.B) {
	config := serverConfig(b)
	for _, row := range []struct {
		name string
		own  bool
	}{{"own", true}, {"driven", false}} {
		b.Run(row.name, func(b *testing.B) {
			defer reportCPU(b)()
			for b.Loop() {
				if _, _, err := connect(config.Certificates[0], NewPool(1, 1, false), NewPool(1, 1, row.own)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("crypto tls alone", func(b *testing.B) {
		defer reportCPU(b)()
		for b.Loop() {
			x, y := net.Pipe()
			done := make(chan error, 1)
			go func() {
				s := tls.Server(x, config)
				err := s.Handshake()
				if err == nil {
					_, err = s.Read(make([]byte, 1))
				}
				done <- err
			}()
			c := tls.Client(y, &tls.Config{InsecureSkipVerify: true})
			go func() { _, _ = c.Read(make([]byte, 1)) }() // the ticket
			if err := c.Handshake(); err != nil {
				b.Fatal(err)
			}
			if _, err := c.Write([]byte{1}); err != nil {
				b.Fatal(err)
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			_, _ = x.Close(), y.Close()
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	for _, row := range []struct {
		name string
		keep bool
	}{{"kept", true}, {"built anew", false}} {
		b.Run("Seal 132 B, "+row.name, func(b *testing.B) {
			_, server := pair(0)
			if row.keep {
				server.Keep()
			}
			dst, plain := make([]byte, 0, 1<<10), make([]byte, 132)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				dst = server.Seal(dst[:0], plain)
			}
		})
	}
	for _, row := range []struct {
		name string
		warm bool
	}{{"", false}, {", 16 warmed at once", true}} { // each is out of the nearer caches when its turn comes
		b.Run("Seal 132 B, kept, 3008 connections in turn"+row.name, func(b *testing.B) {
			var servers []*Records
			for range 188 * 16 {
				_, server := pair(0)
				server.Keep()
				servers = append(servers, server)
			}
			dst, plain, next := make([]byte, 0, 1<<10), make([]byte, 132), 0
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				if row.warm && next%16 == 0 {
					Warm(servers[next : next+16])
				}
				dst = servers[next].Seal(dst[:0], plain)
				if next++; next == len(servers) {
					next = 0
				}
			}
		})
	}
	b.Run("Open 132 B", func(b *testing.B) {
		client, server := pair(0)
		client.Keep()
		var dst []byte
		plain := make([]byte, 132)
		b.ReportAllocs()
		defer reportCPU(b)()
		for b.Loop() {
			dst = client.Seal(dst[:0], plain)
			if _, err := server.Open(dst); err != nil {
				b.Fatal(err)
			}
		}
	})
}
