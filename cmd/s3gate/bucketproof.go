package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"s3gate/guard"
	"s3gate/internal/config"
	"s3gate/internal/gate"
	"s3gate/policy"
	"s3gate/s3client"
)

// prove verifies a policy that was applied just now. It may take some seconds to
// hold everywhere. Where the gate signs in the query string the credentials at
// hand may be its own, or an administrator's, whose requests have to be signed in
// their headers: either is tried.
func prove(cmd *cobra.Command, bucket *s3client.Bucket, b config.Bucket, prefix string) (guard.Report, error) {
	ctx, tried := cmd.Context(), []*s3client.Bucket{bucket}
	opts := proofOptions(b, prefix)
	signing := b
	if bucket.Signing() == s3client.SignQuery {
		signing.Signing = string(s3client.SignHeader)
		byHeader, err := openSettings(cmd, signing)
		if err != nil {
			return guard.Report{}, err
		}
		defer byHeader.Close()
		tried = append(tried, byHeader)
	}
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		var report guard.Report
		for _, t := range tried {
			var err error
			if report, err = guard.VerifyWith(ctx, t, opts); err != nil {
				return report, fmt.Errorf("verifying: %w", err)
			}
			if report.OK() {
				return limitedAt(b, report), nil
			}
		}
		if pause > 4*time.Second || ctx.Err() != nil {
			return report, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// proofOptions are how a bucket is verified by whoever changes its policy, who is
// not the gate.
func proofOptions(b config.Bucket, prefix string) guard.VerifyOptions {
	b.Principal, b.VerifyPrefix, b.VerifyKey = "", prefix, ""
	o, _ := gate.VerifyOptions(b) // only a principal can be wrong
	o.Partition = policy.PartitionOf(regionOf(b))
	return o
}

// limitedAt is what requests of an administrator come to where the gate signs in
// the query string, and is exempt: that bucket is never locked.
func limitedAt(b config.Bucket, r guard.Report) guard.Report {
	if b.Signing == string(s3client.SignQuery) && r.Locked {
		r.Locked, r.Limited = false, true
		r.Unproven = "that the gate's own URLs end after a minute: these credentials are not the gate's"
	}
	return r
}

// proof is what real requests showed of a lock, and for whom it does not hold.
type proof struct {
	guard.Report
	// Exempt are those for whom presigned URLs go on working.
	Exempt []policy.Exemption `json:"exempt,omitempty"`
	// Bounds is what is not locked at all.
	Bounds string `json:"bounds,omitempty"`
	// Weaker are statements of ours that refuse less than they did.
	Weaker []string `json:"weaker,omitempty"`
	// Restored is the file of a policy that was put back.
	Restored string `json:"restored,omitempty"`
}

func newProof(o policy.LockOptions, report guard.Report) proof {
	return proof{Report: report, Exempt: o.Exemptions(), Bounds: o.Bounds()}
}

// except are the exempt in short.
func (p proof) except() (list []string) {
	for _, e := range p.Exempt {
		list = append(list, e.Who)
	}
	return list
}

// verdict is the last line: a lock with exemptions is never called by the name of
// one without.
func (p proof) verdict() string {
	if !p.OK() {
		return "NOT locked"
	}
	return verdict(p.Report, p.except(), p.Bounds, false)
}

// printProof prints what real requests showed. It fails when the bucket is not
// locked.
func printProof(cmd *cobra.Command, proven proof) error {
	err := newPrinter(cmd).print(proven, func(p *printer) {
		printChecks(p, proven.Report)
		if !proven.OK() && len(proven.Exempt) > 0 {
			p.say("The policy was stored. If these credentials are exempt, verify it with others.")
		}
		if !proven.OK() && proven.Bounds != "" {
			p.say("What the lock leaves open counts as not locked: it is %s.", plain(proven.Bounds))
		}
		fmt.Fprintln(p.out, plain(proven.verdict()))
	})
	if err == nil && !proven.OK() {
		err = errNo
	}
	return err
}

func printChecks(p *printer, report guard.Report) {
	t := p.table()
	for _, c := range report.Checks {
		printCheck(t, c.Name, c.Got, c.Cause, c.OK)
	}
	t.Flush()
	if report.OK() && report.Unproven != "" {
		p.say("not known: %s", plain(report.Unproven))
	}
	if len(report.Exempts) > 0 {
		p.say("the policy exempts: %s", plain(strings.Join(report.Exempts, ", ")))
	}
	for _, key := range report.Left {
		p.say("could not remove the canary %s", key)
	}
}

func printCheck(w io.Writer, name, got, cause string, ok bool) {
	mark := "ok"
	if !ok {
		mark = "NOT OK"
	}
	line := mark + "\t" + name + "\t" + got
	if cause != "" {
		line += "\t" + plain(cause)
	}
	fmt.Fprintln(w, line)
}

// presigned names the presigned requests that are refused although no statement of
// ours is there, and says how many were allowed.
func presigned(report guard.Report) (refused []string, allowed int) {
	for _, c := range report.Checks {
		switch {
		case c.Want != "refused" || !strings.HasPrefix(c.Name, "presigned") && !strings.HasPrefix(c.Name, "stale"):
		case c.OK:
			refused = append(refused, c.Name)
		case strings.HasPrefix(c.Got, "allowed"):
			allowed++
		}
	}
	return refused, allowed
}
