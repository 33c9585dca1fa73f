package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"s3gate/internal/config"
	"s3gate/internal/gate"
)

func newHealth() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the gate on this machine whether it is ready (exit code 3 if not)",
		Args:  exactly(0),
	}
	configFlags(cmd)
	clientFlags(cmd)
	url := cmd.Flags().String("url", "", "the address to ask (default: /readyz at the configured API address)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		target := *url
		if target == "" {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			target = readyURL(cfg.API.Listener)
		}
		identity, err := identityOf(cmd)
		if err != nil {
			return err
		}
		tlsConfig, err := identity.Config()
		if err != nil {
			return usageError{err}
		}
		// It asks this machine, whose certificate is for another name.
		tlsConfig.InsecureSkipVerify = true
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: tlsConfig}}
		resp, err := client.Get(target)
		if err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "s3gate: no answer:", err)
			return errNo
		}
		defer resp.Body.Close()
		healthy := resp.StatusCode == http.StatusOK
		err = newPrinter(cmd).print(map[string]any{"ready": healthy, "status": resp.StatusCode}, func(p *printer) {
			fmt.Fprintln(p.out, http.StatusText(resp.StatusCode))
		})
		if err == nil && !healthy {
			err = errNo
		}
		return err
	}
	return cmd
}

func readyURL(l config.Listener) string {
	addr, err := net.ResolveTCPAddr("tcp", l.Addr)
	if err != nil {
		addr = &net.TCPAddr{}
	}
	return gate.URL(addr, l.Secure()) + "/readyz"
}
