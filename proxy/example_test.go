package proxy_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/proxy"
	"s3gate/revocation"
	"s3gate/tokens"
)

// A handler needs to know the connections that its listener accepts, so that
// a revocation can cut them.
func ExampleHandler() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	store := tokens.New(rdb, tokens.Options{})
	defer store.Close(context.Background())

	transfers := &revocation.Transfers{}
	links := &http.Server{
		Handler: &proxy.Handler{
			Tokens:    store,
			Buckets:   map[string]proxy.Upstream{"media": fixedObject([]byte("hello"))}, // or an s3client.Bucket
			Transfers: transfers,
		},
		ConnContext: revocation.ConnContext,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go links.Serve(revocation.Listen(listener, nil, 0))
	defer links.Close()

	token, _, err := store.Mint(context.Background(), tokens.Grant{
		Operation: tokens.Get, Bucket: "media", Key: "greetings/hello.txt", MaxUses: 1,
	}, time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		resp, err := client.Get("http://" + listener.Addr().String() + "/" + token.Reveal())
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Println(resp.Status, resp.Header.Get("Content-Disposition"))
		if resp.StatusCode == http.StatusOK {
			fmt.Println(string(body))
		}
	}
	// Output:
	// 200 OK attachment; filename="hello.txt"; filename*=UTF-8''hello.txt
	// hello
	// 410 Gone
}
