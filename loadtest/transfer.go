package loadtest

import (
	"context"
	"fmt"
	"math/rand/v2"

	"s3gate/client"
)

func prepareDownload(ctx context.Context, w *world) (operation, error) {
	link, err := w.download(ctx)
	return func(ctx context.Context, _ uint64) outcome { return w.get(ctx, link, 0, 0) }, err
}

// download stores the object and mints a link for it, without limit of uses.
func (w *world) download(ctx context.Context) (link string, err error) {
	w.checks.expect(rightBytes)
	key, err := w.furnish(ctx)
	if err != nil {
		return "", err
	}
	t, err := w.mint(ctx, "get", key, nil)
	if err != nil {
		return "", err
	}
	return w.link(t), nil
}

// A player asks for a megabyte at a time; one time in eight somebody skips.
const (
	videoRange = 1 << 20
	videoSkips = 8
)

func prepareVideo(ctx context.Context, w *world) (operation, error) {
	link, err := w.download(ctx)
	return func(ctx context.Context, n uint64) outcome {
		from := w.frame(n)
		return w.get(ctx, link, from, min(from+videoRange, w.cfg.Size))
	}, err
}

// frame is where range n begins: after the one before, or anywhere. It is the same
// for the same seed.
func (w *world) frame(n uint64) int64 {
	ranges := max(1, (w.cfg.Size+videoRange-1)/videoRange)
	skip := rand.New(rand.NewPCG(w.cfg.Seed, n/videoSkips))
	return (skip.Int64N(ranges) + int64(n%videoSkips)) % ranges * videoRange
}

// uploadKeys are the keys that uploads take in turn, so that a run leaves no more
// objects than that.
const uploadKeys = 64

func overwriting() *client.Upload { return &client.Upload{Overwrite: true} }

// prepareUpload uploads, and now and then looks whether it is there.
func prepareUpload(_ context.Context, w *world) (operation, error) {
	w.checks.expect(storedWhole)
	return func(ctx context.Context, n uint64) outcome {
		key := fmt.Sprintf("upload-%d", n%uploadKeys)
		t, err := w.mint(ctx, "put", key, func(r *client.MintRequest) { r.Upload = overwriting() })
		if err != nil {
			return outcome{err: err}
		}
		o := w.put(ctx, w.link(t))
		if o.err == nil && n%uploadKeys == 0 {
			w.holdStored(ctx, key)
		}
		return o
	}, nil
}

// holdStored reads an object back. All objects of a run have the same content, so one
// that was replaced meanwhile is as good.
func (w *world) holdStored(ctx context.Context, key string) {
	t, err := w.mint(ctx, "get", key, nil)
	if err == nil {
		err = w.get(ctx, w.link(t), 0, 0).err
	}
	w.checks.hold(storedWhole, err == nil, "%s%s: %v", w.cfg.Target.Prefix, key, err)
}
