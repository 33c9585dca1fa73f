package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"s3gate/client"
)

func (b *bench) uploadWork() *work {
	return &work{
		name: "put-1g", title: "large uploads", peer: nginxPlain,
		how: fmt.Sprintf("One PUT of %s, which replaces an object, over plain HTTP on both sides. nginx with request buffering off.",
			size(b.upload)),
		metrics: cpuPer(secondsPerGiB, aim{gateOnly, 0.6, 0}),
		prepare: func(ctx context.Context) ([]contender, error) {
			var all []contender
			for _, name := range []string{gateOnly, nginxPlain, haproxyPlain} {
				u, err := b.uploader(ctx, name)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				all = append(all, contender{name: name, gate: u.gate(), measure: u.measure})
			}
			return all, nil
		},
	}
}

// uploader is a contender who takes uploads.
type uploader struct {
	*target
	path string // of a request
	size int64
	file string // what the upstream makes of an upload
}

// uploader makes one, and sees that what it stores is what was sent.
func (b *bench) uploader(ctx context.Context, name string) (*uploader, error) {
	t, err := b.target(ctx, name, smallObject, b.small, false)
	if err != nil {
		return nil, err
	}
	u := &uploader{t, bucketPath(uploadObject), b.upload, filepath.Join(b.dir, "objects", "bench", filepath.FromSlash(uploadObject))}
	if gate := t.gate(); gate != nil {
		if u.path, err = mint(ctx, gate, uploads()); err != nil {
			return nil, err
		}
	}
	return u, u.verify(ctx)
}

// uploads asks for a token that replaces an object as often as one likes.
func uploads() client.MintRequest {
	uses := int64(manyUses)
	return client.MintRequest{
		Operation: "put", Bucket: "bench", Key: uploadObject, ExpiresIn: "12h", MaxUses: &uses,
		Upload: &client.Upload{Overwrite: true},
	}
}

func (u *uploader) verify(ctx context.Context) error {
	c, err := dial(ctx, u.servers[0].addr, nil)
	if err != nil {
		return err
	}
	defer c.close()
	h := sha256.New()
	if err := c.put(u.path, int64(len(block))*3/2, h); err != nil {
		return err
	}
	stored, err := os.ReadFile(u.file)
	if err != nil {
		return err
	}
	if got := sha256.Sum256(stored); string(got[:]) != string(h.Sum(nil)) {
		return fmt.Errorf("%w: other bytes were stored than were sent", errAnswer)
	}
	return nil
}

// measure is the cost of one upload, of which the upstream must have every byte.
func (u *uploader) measure(ctx context.Context) ([]float64, error) {
	c, err := dial(ctx, u.servers[0].addr, nil)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.put(u.path, 1<<20, nil); err != nil { // a warm-up
		return nil, err
	}
	cost, err := u.cost(func() error { return c.put(u.path, u.size, nil) })
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(u.file)
	if err != nil {
		return nil, err
	}
	if info.Size() != u.size {
		return nil, errors.Join(errAnswer, fmt.Errorf("%d bytes were stored of %d", info.Size(), u.size))
	}
	return cost.perGiB(u.size), nil
}
