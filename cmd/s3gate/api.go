package main

import (
	"cmp"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"s3gate/client"
	"s3gate/tokens"
)

// apiFlags adds the flags of commands that call the API.
func apiFlags(cmd *cobra.Command) {
	cmd.Flags().String("api-url", "", "the gate's API (default: $S3GATE_API_URL)")
	cmd.Flags().String("api-token-file", "", "a file with the bearer JWT (default: the JWT itself in $S3GATE_API_TOKEN)")
	clientFlags(cmd)
}

// clientFlags adds the flags of what a gate with api.client_ca wants to see.
func clientFlags(cmd *cobra.Command) {
	cmd.Flags().String("api-client-cert", "", "a PEM file with a client certificate, where the gate wants one (default: $S3GATE_API_CLIENT_CERT)")
	cmd.Flags().String("api-client-key", "", "a PEM file with its key (default: $S3GATE_API_CLIENT_KEY)")
	cmd.Flags().String("api-server-ca", "", "a PEM file with who has signed the gate's certificate (default: $S3GATE_API_SERVER_CA, or what the system trusts)")
}

// identityOf reads what flags or environment say of certificates.
func identityOf(cmd *cobra.Command) (client.Identity, error) {
	named := func(flag, variable string) string {
		path, _ := cmd.Flags().GetString(flag)
		return cmp.Or(path, os.Getenv(variable))
	}
	id := client.Identity{
		Cert:     named("api-client-cert", "S3GATE_API_CLIENT_CERT"),
		Key:      named("api-client-key", "S3GATE_API_CLIENT_KEY"),
		ServerCA: named("api-server-ca", "S3GATE_API_SERVER_CA"),
	}
	if (id.Cert == "") != (id.Key == "") {
		return id, usagef("a client certificate and its key go together: set --api-client-cert and --api-client-key, or both variables")
	}
	return id, nil
}

// newClient returns a client of the API that flags or environment name. The
// JWT is no flag, since command lines are for everybody to see.
func newClient(cmd *cobra.Command) (*client.Client, error) {
	url, bearer, err := apiOf(cmd)
	if err != nil {
		return nil, err
	}
	if url == "" || bearer == "" {
		return nil, usagef("say which gate: set S3GATE_API_URL and S3GATE_API_TOKEN, or --api-url and --api-token-file")
	}
	identity, err := identityOf(cmd)
	if err != nil {
		return nil, err
	}
	c := client.New(url, bearer)
	if err := c.Present(identity); err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// apiOf reads what flags or environment say of the API; "" is nothing.
func apiOf(cmd *cobra.Command) (url, bearer string, err error) {
	url, _ = cmd.Flags().GetString("api-url")
	if path, _ := cmd.Flags().GetString("api-token-file"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", "", usageError{err}
		}
		bearer = strings.TrimSpace(string(raw))
	}
	return cmp.Or(url, os.Getenv("S3GATE_API_URL")), cmp.Or(bearer, os.Getenv("S3GATE_API_TOKEN")), nil
}

var tokenForm = regexp.MustCompile(`s3g_[0-9A-Za-z]{28}`)

// tokenID reads a token's ID out of what a person has at hand: the ID, the
// token, or a link. The token itself does not leave this machine.
func tokenID(text string) (string, error) {
	if id, err := tokens.ParseID(text); err == nil {
		return string(id), nil
	}
	if found := tokenForm.FindString(text); found != "" {
		if t, err := tokens.Parse(found); err == nil {
			return string(t.ID()), nil
		}
		return "", usagef("the token in the link is mistyped: its checksum does not match")
	}
	return "", usagef("expected a token's ID (tok_…), a token (s3g_…) or a link")
}
