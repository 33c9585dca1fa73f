package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

var (
	bucketName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$`)
	partitionName = regexp.MustCompile(`^(aws(-[a-z]+)*)?$`)
	userName      = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	exemptARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/*?-]+$`)
	signerARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+$`)
	insiderARN    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:(root|(role|user)/[\w+=,.@/*?-]+)$`)
	endpointID    = regexp.MustCompile(`^vpce-[0-9a-f]{8,17}$`)
)

// check refuses options that would make a statement mean something else than they say.
func (o *LockOptions) check() error {
	switch {
	case !bucketName.MatchString(o.Bucket):
		return errors.New("not a bucket name")
	case !partitionName.MatchString(o.Partition):
		return fmt.Errorf("partition: %q is none", o.Partition)
	case strings.ContainsAny(o.Prefix, "*?") || strings.Contains(o.Prefix, "${"):
		return fmt.Errorf("prefix: %q holds a wildcard or a variable", o.Prefix)
	case len(o.Prefix) > 1024:
		return errors.New("prefix: longer than a key can be")
	case o.Actions != nil && len(o.Actions) == 0:
		return errors.New("actions: empty list")
	case o.MaxURLAge != 0 && o.MaxURLAge < time.Millisecond:
		return fmt.Errorf("maximum URL age: %v is less than a millisecond", o.MaxURLAge)
	}
	for _, list := range []struct {
		name   string
		values []string
		valid  *regexp.Regexp
	}{
		{"exempt users", o.ExemptUsers, userName},
		{"exempt roles", o.ExemptRoles, exemptARN},
		{"exempt endpoints", o.ExemptEndpoints, endpointID},
		{"query signer", o.querySigner(), signerARN},
		{"only principals", o.OnlyPrincipals, insiderARN},
		{"only endpoints", o.OnlyEndpoints, endpointID},
		{"accounts", o.Accounts, accountID},
	} {
		for _, s := range list.values {
			if !list.valid.MatchString(s) {
				return fmt.Errorf("%s: %q is not of the form %s", list.name, s, list.valid)
			}
		}
	}
	return checkNetworks(o.ExemptNetworks)
}

// querySigner is QuerySigner as a list, which is empty if there is none.
func (o *LockOptions) querySigner() []string {
	if o.QuerySigner == "" {
		return nil
	}
	return []string{o.QuerySigner}
}

// checkNetworks refuses what S3 would not take, and what exempts everybody.
func checkNetworks(networks []string) error {
	for _, text := range networks {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil || p.Addr().Is4In6():
			return fmt.Errorf("exempt networks: %q is no network such as 192.0.2.0/24 or 2001:db8::/32", text)
		case p.Masked() != p:
			return fmt.Errorf("exempt networks: %q has bits beyond its %d, say %s", text, p.Bits(), p.Masked())
		case p.Bits() == 0:
			return fmt.Errorf("exempt networks: %q is everywhere, and would exempt everybody", text)
		}
	}
	return nil
}
