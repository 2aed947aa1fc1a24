// Reads every order, also over restarts of this program; one in hand when it dies comes once more:
//
//	go run ./examples/go [ws://127.0.0.1:8080/stream]
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"tickcast/client"
)

const file = "cursor.txt"

// keep keeps the cursor of orders that are taken care of.
func keep(cursor string) error {
	if err := os.WriteFile(file+".new", []byte(cursor), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func main() {
	address := "ws://127.0.0.1:8080/stream"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := client.New(address, client.Options{
		OnLost: func(l client.Lost) { log.Printf("lost orders of %s after %s: %s", l.Topic, l.From, l.Why) },
	})
	if err != nil {
		log.Fatal(err)
	}
	after, _ := os.ReadFile(file) // none at the first start
	_, err = c.Subscribe(func(m client.Message) {
		fmt.Println(m.Topic, m.Seq, string(m.Data))
		if cursor := c.Cursor("ord.>"); cursor != "" {
			if err := keep(cursor); err != nil {
				log.Print(err)
			}
		}
	}, client.SubscribeOptions{After: string(after)}, "ord.>")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(c.Run(ctx))
}
