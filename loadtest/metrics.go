package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Bounds of a scrape.
const (
	scrapeTimeout  = 5 * time.Second
	scrapeBytes    = 16 << 20
	scrapesAtATime = 8
)

// A Metric is a metric of one or more servers, with all its labels added up.
type Metric struct {
	Value   float64
	Counter bool // only rises, unless a server restarts
}

// ScrapeMetrics fetches the pages in Prometheus' text format at the URLs and adds them up: by name, over all labels and
// servers. A histogram or summary becomes NAME_count and NAME_sum. Only finite values count.
//
// It fails if one of the pages does not come within 5 seconds or has more than 16 MiB, since the sums would be too small.
// The error names all such pages.
func ScrapeMetrics(ctx context.Context, urls []string) (map[string]Metric, error) {
	// It closes its connections, since the load tester needs the descriptors.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: scrapeTimeout}
	var (
		pages   = make([]map[string]Metric, len(urls))
		errs    = make([]error, len(urls))
		permits = make(chan struct{}, scrapesAtATime)
		running sync.WaitGroup
	)
	for i, url := range urls {
		permits <- struct{}{}
		running.Go(func() {
			defer func() { <-permits }()
			if pages[i], errs[i] = scrape(ctx, client, url); errs[i] != nil {
				errs[i] = fmt.Errorf("loadtest: metrics of %s: %w", url, errs[i])
			}
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	sums := make(map[string]Metric)
	for _, page := range pages {
		for name, m := range page {
			addMetric(sums, name, m.Value, m.Counter)
		}
	}
	return sums, nil
}

// scrape fetches one page.
func scrape(ctx context.Context, client *http.Client, url string) (map[string]Metric, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	r, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, errors.New(r.Status)
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, scrapeBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > scrapeBytes:
		return nil, fmt.Errorf("more than %d MiB", scrapeBytes>>20)
	}
	return parseMetrics(b)
}

// parseMetrics reads a page and adds the labels up.
func parseMetrics(page []byte) (map[string]Metric, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return nil, err
	}
	sums := make(map[string]Metric)
	for name, family := range families {
		for _, m := range family.Metric {
			switch {
			case m.Counter != nil:
				addMetric(sums, name, m.Counter.GetValue(), true)
			case m.Gauge != nil:
				addMetric(sums, name, m.Gauge.GetValue(), false)
			case m.Untyped != nil:
				addMetric(sums, name, m.Untyped.GetValue(), false)
			case m.Histogram != nil:
				addMetric(sums, name+"_count", float64(m.Histogram.GetSampleCount()), true)
				addMetric(sums, name+"_sum", m.Histogram.GetSampleSum(), true)
			case m.Summary != nil:
				addMetric(sums, name+"_count", float64(m.Summary.GetSampleCount()), true)
				addMetric(sums, name+"_sum", m.Summary.GetSampleSum(), true)
			}
		}
	}
	return sums, nil
}

// addMetric adds a value to the metric of that name. It ignores NaN and infinity, which JSON cannot hold.
func addMetric(sums map[string]Metric, name string, value float64, counter bool) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	m := sums[name]
	sums[name] = Metric{Value: m.Value + value, Counter: counter}
}

// metricChanges returns the changes between two scrapes: the growth of each counter that grew, and the last value of each
// gauge. A counter that fell has begun again at 0.
func metricChanges(before, after map[string]Metric) map[string]float64 {
	changes := make(map[string]float64)
	for name, m := range after {
		switch was := before[name].Value; {
		case !m.Counter || m.Value < was:
			changes[name] = m.Value
		case m.Value > was:
			changes[name] = m.Value - was
		}
	}
	return changes
}
