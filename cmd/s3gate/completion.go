package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newCompletion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes command lines in a shell",
		Long: `Print a script that makes a shell complete commands, flags and their values.
It asks nobody: names of buckets and tokens are not completed.`,
		Example: `  source <(s3gate completion bash)
  s3gate completion zsh > "${fpath[1]}/_s3gate"
  s3gate completion fish > ~/.config/fish/completions/s3gate.fish
  s3gate completion powershell | Out-String | Invoke-Expression`,
		Args:      exactly(1),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usagef("there is no completion for %q, only for %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// choices completes a flag with the values that it can have.
func choices(cmd *cobra.Command, flag string, values ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // there is no such flag, or it has choices already
	}
}

// firstArgument completes the first argument with the values that it can have, and
// no other.
func firstArgument(values ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeSensibly keeps shells from offering files where none is meant.
func completeSensibly(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		completeSensibly(c)
	}
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 && !strings.Contains(cmd.Use, " FILE") {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if _, known := cmd.GetFlagCompletionFunc(f.Name); !known && !takesPath(f) {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions) // it is there, and has none
		}
	})
}

func takesPath(f *pflag.Flag) bool {
	switch f.Name {
	case "config", "output":
		return true
	}
	return strings.HasSuffix(f.Name, "file") || strings.HasSuffix(f.Name, "-dir")
}
