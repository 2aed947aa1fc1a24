package report

import (
	"maps"
	"slices"

	"tickcast/loadtest"
)

// summaryRows bounds the rows of a table in a summary. The page has all rows.
const summaryRows = 10

// tabulate returns a table with a line for each item, or only for the first of them unless all. It is nil without items.
func tabulate[T any](columns []column, items []T, all bool, lineOf func(*T) line) *table {
	if len(items) == 0 {
		return nil
	}
	t := &table{Columns: columns}
	for i := range items {
		if !all && i == summaryRows {
			t.More = len(items) - i
			break
		}
		t.Lines = append(t.Lines, lineOf(&items[i]))
	}
	return t
}

// broadcasts is the table of the first messages, one by one.
func broadcasts(b []loadtest.Broadcast, all bool) section {
	columns := []column{{"topic", true}, {"seq", false}, {"at", false}, {"received", false}, {"expected", false},
		{"first", false}, {"last", false}}
	return section{Title: "broadcasts", Table: tabulate(columns, b, all, func(b *loadtest.Broadcast) line {
		first, last := none, none
		if b.Received > 0 {
			first, last = millis(b.First), millis(b.Last)
		}
		return line{[]string{printable(b.Topic), count(b.Seq), moment(b.At), count(b.Received), count(b.Expected), first, last},
			b.Received != b.Expected}
	})}
}

// topics is the table of deliveries by topic: topics with trouble, or all.
func topics(t []loadtest.TopicCount, all bool) section {
	trouble := func(t *loadtest.TopicCount) bool { return t.Missing > 0 || t.Doubled > 0 || t.OutOfOrder > 0 }
	if !all {
		t = slices.DeleteFunc(slices.Clone(t), func(t loadtest.TopicCount) bool { return !trouble(&t) })
	}
	columns := []column{{"topic", true}, {"subscribers", false}, {"published", false}, {"received", false}, {"missing", false},
		{"doubled", false}, {"out of order", false}, {"conflated", false}}
	return section{Title: "topics", Table: tabulate(columns, t, all, func(t *loadtest.TopicCount) line {
		return line{[]string{printable(t.Topic), count(t.Subscribers), count(t.Published), count(t.Received), count(t.Missing),
			count(t.Doubled), count(t.OutOfOrder), count(t.Conflated)}, trouble(t)}
	})}
}

// troubles is the table of single failed deliveries.
func troubles(t []loadtest.Trouble, all bool) section {
	columns := []column{{"what", true}, {"client", false}, {"topic", true}, {"seq", false}, {"messages", false}}
	return section{Title: "troubles", Table: tabulate(columns, t, all, func(t *loadtest.Trouble) line {
		return line{[]string{printable(t.Kind), count(t.Client), printable(t.Topic), count(t.Seq), count(t.Count)}, true}
	})}
}

// cohorts is the table of the clients that behaved differently.
func cohorts(c []loadtest.Cohort) section {
	columns := []column{{"cohort", true}, {"clients", false}, {"ended", false}, {"took", false}, {"note", true}}
	return section{Title: "cohorts", Table: tabulate(columns, c, true, func(c *loadtest.Cohort) line {
		took := none
		if c.Seconds > 0 {
			took = seconds(c.Seconds)
		}
		return line{[]string{printable(c.Name), count(c.Clients), count(c.Ended), took, printable(c.Note)}, false}
	})}
}

// metrics is the table of the servers' /metrics. Only the page has it.
func metrics(m map[string]float64, all bool) section {
	if !all {
		return section{}
	}
	columns := []column{{"metric", true}, {"value", false}}
	names := slices.Sorted(maps.Keys(m))
	return section{Title: "server metrics", Table: tabulate(columns, names, true, func(name *string) line {
		return line{[]string{printable(*name), digits(m[*name])}, false}
	})}
}
