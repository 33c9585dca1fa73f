package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"s3gate/tokens"
)

// A token that opens one object once.
func Example() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer rdb.Close()
	store := tokens.New(rdb, tokens.Options{})
	ctx := context.Background()
	defer store.Close(ctx)

	token, grant, err := store.Mint(ctx, tokens.Grant{
		Operation: tokens.Get, Bucket: "media", Key: "talk.mp4", MaxUses: 1,
	}, time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("mint:", token, len(token.Reveal()), "characters, for", grant.Bucket, grant.Key)

	use, err := store.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
	if err != nil {
		log.Fatal(err)
	}
	// Ask S3 for use.Grant.Key here, and before the first byte goes out:
	if err := use.Charge(ctx); err != nil {
		use.Refund(ctx)
		log.Fatal(err)
	}
	use.Commit(ctx)
	fmt.Println("redeem:", use.Grant.Key)

	_, err = store.Redeem(ctx, token, tokens.Ask{Operation: tokens.Get})
	fmt.Println("again:", err, errors.Is(err, tokens.ErrUsed))
	// Output:
	// mint: s3g_[redacted] 32 characters, for media talk.mp4
	// redeem: talk.mp4
	// again: token used up true
}

// What stands in a link is judged before anybody asks Redis.
func ExampleParse() {
	token, err := tokens.Parse("s3g_0123456789ABCDEFGHIJKL2Jly3b")
	fmt.Println(token.ID(), err)
	_, err = tokens.Parse("s3g_0123456789ABCDEFGHIJKL2Jly3c")
	fmt.Println(err)
	// Output:
	// tok_6z5ymzxgxzuch4v4utwuykds5q <nil>
	// malformed token
}
