package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// An Exemption is one way past a lock that its options leave open.
type Exemption struct {
	// Who is exempt, in a few words.
	Who string `json:"who"`

	// Lets says what that lets through.
	Lets string `json:"lets,omitempty"`
}

// Exemptions tells, for each way past the lock that o leaves open, what it lets through: what to read
// before agreeing to it. Nil means that presigned requests open nothing of what is locked.
func (o LockOptions) Exemptions() []Exemption {
	var list []Exemption
	until := "until they expire, seven days after signing at most"
	if o.MaxURLAge > 0 {
		until = "until they expire, " + short(o.MaxURLAge) + " after signing at most"
	}
	for _, name := range o.ExemptUsers {
		list = append(list, Exemption{
			"user " + name,
			"presigned URLs and forms that the IAM user " + name + " has signed, of whichever account, for whoever holds them, " + until,
		})
	}
	for _, arn := range o.ExemptRoles {
		who := arn
		if strings.ContainsAny(arn, "*?") {
			who = "all of " + arn
		}
		list = append(list, Exemption{who, "presigned URLs and forms that " + who + " has signed, for whoever holds them, " + until})
	}
	for _, id := range o.ExemptEndpoints {
		list = append(list, Exemption{
			"all that comes through " + id,
			"presigned URLs and forms that anybody has signed, for whoever can reach the VPC endpoint " + id,
		})
	}
	for _, network := range o.ExemptNetworks {
		list = append(list, Exemption{"all that comes from " + network, networkLets(network)})
	}
	if o.QuerySigner != "" {
		list = append(list, Exemption{
			o.QuerySigner + ", which the gate signs with",
			fmt.Sprintf("URLs that the gate signs, for whoever sees one on its way to the store, for %s after signing; no forms. A gate that signs in headers needs no exemption", short(QuerySignerAge)),
		})
	}
	return list
}

func networkLets(network string) string {
	lets := "presigned URLs and forms that anybody has signed, for whoever sends them from " + network + " over the internet, not through a VPC endpoint"
	if p, err := netip.ParsePrefix(network); err == nil && p.Addr().IsPrivate() {
		lets += "; Amazon S3 sees no private address as a source, so there it lets nobody through"
	}
	return lets
}

// short writes a duration without the units that are zero behind the others.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Bounds says what o does not lock at all: other keys than those under a prefix, other actions than some.
// Empty means that all objects are locked, for everything that can be done with them.
func (o LockOptions) Bounds() string {
	var parts []string
	if o.Actions != nil {
		parts = append(parts, "only for "+strings.Join(o.Actions, ", "))
	}
	if o.Prefix != "" {
		parts = append(parts, fmt.Sprintf("only keys that begin with %q", o.Prefix))
	}
	return strings.Join(parts, ", ")
}
