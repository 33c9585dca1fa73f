package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"s3gate/tokens"
)

// sniffBytes is how much of an upload tells its type.
const sniffBytes = 512

// sniffed refuses an upload whose first [sniffBytes], or all if there are
// fewer, do not look like what a grant permits that wants them looked at.
func sniffed(head []byte, limits *tokens.Upload) error {
	if !limits.Sniff || typeAllowed(http.DetectContentType(head), limits.ContentTypes) {
		return nil
	}
	return &typeError{limits.ContentTypes, true}
}

// sniff looks at the beginning of the body before anything of it is sent, if
// the grant wants that.
func (b *uploadBody) sniff(ctx context.Context, limits *tokens.Upload) error {
	if !limits.Sniff {
		return nil
	}
	defer context.AfterFunc(ctx, b.hurry)()
	head := make([]byte, min(sniffBytes, b.size))
	for n := 0; n < len(head); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.idle.arm()
		k, err := b.src.Read(head[n:])
		n += k
		if n < len(head) && err != nil {
			b.read = int64(n)
			return bodyError(err)
		}
	}
	if err := sniffed(head, limits); err != nil {
		b.read = int64(len(head))
		return err
	}
	b.src = io.MultiReader(bytes.NewReader(head), b.src)
	return nil
}

// head returns the first n bytes, or all if there are fewer.
func (b *buffer) head(n int64) []byte {
	head := make([]byte, min(n, b.size))
	_, _ = io.ReadFull(b.reader(), head)
	return head
}
