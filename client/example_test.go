package client_test

import (
	"context"
	"fmt"
	"log"

	"s3gate/client"
)

func ExampleClient_Mint() {
	gate, err := startGate() // in real life it runs already
	if err != nil {
		log.Fatal(err)
	}
	defer gate.stop()

	once := int64(1)
	c := client.New(gate.url, gate.admin)
	defer c.HTTP.CloseIdleConnections()
	t, err := c.Mint(context.Background(), client.MintRequest{
		Operation: "get", Bucket: "docs", Key: "2030/report.pdf",
		ExpiresIn: "7d", MaxUses: &once, Subject: "ada@example.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(t.Method, len(t.URL), "characters")
	fmt.Println("works once, until", t.ExpiresAt.Format("2006-01-02"))
	// Output:
	// GET 69 characters
	// works once, until 2030-02-07
}
