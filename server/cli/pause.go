package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// scopeOptions add --namespace and --all, of which one must be given.
func scopeOptions(cmd *cobra.Command, namespace *string, all *bool) (check func() error) {
	cmd.Flags().StringVarP(namespace, "namespace", "n", "", "this `namespace` of callees")
	cmd.Flags().BoolVar(all, "all", false, "every namespace")
	return func() error {
		if (*namespace == "") == !*all {
			return usagef(cmd, "say where: --namespace NAME or --all")
		}
		return nil
	}
}

func newPauseCommand() *cobra.Command {
	var q apiv1.PauseRequest
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "pause --namespace NAME|--all --for DURATION --reason TEXT",
		Short: "Hold automation: it opens nothing more until you say so",
		Long: `Hold automation in a namespace, or everywhere. It opens nothing more there; what
is open is led back, and overrides stay. A pause ends by itself.`,
		Example: `  switchgear pause --namespace shop --for 1h --reason "load test"
  switchgear pause --all --for 15m --reason "it opens what it should not"`,
		Args: args(0, ""),
	}
	scope := scopeOptions(cmd, &q.Namespace, &q.All)
	cmd.Flags().DurationVar(&ttl, "for", 0, "how `long`, such as 1h; required")
	cmd.Flags().StringVar(&q.Reason, "reason", "", "`why`, for everybody who meets it; required")
	connectTo, author, confirm := serverOption(cmd), authorOption(cmd), yesOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := scope(); err != nil {
			return err
		}
		if err := required(cmd, "for", "reason"); err != nil {
			return err
		}
		if q.Author, err = author(); err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		q.TimeToLive = durationpb.New(ttl)
		p, err := c.overrides.Preview(cmd.Context(), &apiv1.PreviewRequest{Action: &apiv1.PreviewRequest_Pause{Pause: &q}})
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		fmt.Fprintln(cmd.ErrOrStderr(), printable(p.GetSentence()))
		if err := confirm(); err != nil {
			return err
		}
		r, err := c.overrides.Pause(cmd.Context(), &q)
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		x := r.GetPause()
		fmt.Fprintf(cmd.OutOrStdout(), "automation is paused %s until %s (%s)\n", printable(everywhere(x.GetNamespace())),
			x.GetBegan().AsTime().Add(x.GetTimeToLive().AsDuration()).UTC().Format(time.RFC3339), x.GetId())
		return nil
	}
	return cmd
}

func everywhere(namespace string) string {
	if namespace == "" {
		return "everywhere"
	}
	return "in namespace " + namespace
}

func newResumeCommand() *cobra.Command {
	var q apiv1.ResumeRequest
	cmd := &cobra.Command{
		Use:   "resume --namespace NAME|--all",
		Short: "End a pause now",
		Long: `End the pause of a namespace, or that of every namespace. Each of the two ends
only its own: 'switchgear get pauses' lists them.`,
		Example: `  switchgear resume --all`,
		Args:    args(0, ""),
	}
	scope := scopeOptions(cmd, &q.Namespace, &q.All)
	connectTo, author := serverOption(cmd), authorOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := scope(); err != nil {
			return err
		}
		if q.Author, err = author(); err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		r, err := c.overrides.Resume(cmd.Context(), &q)
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "automation goes on %s\n", printable(everywhere(r.GetPause().GetNamespace())))
		return nil
	}
	return cmd
}

func newMarkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mark SERVICE VERSION",
		Short: "Tell that a service was deployed, for who asks why soon after",
		Long: `Tell that a version of a service was deployed. 'switchgear why' names it for
fifteen minutes beside each circuit that leads to the service.`,
		Example: `  switchgear mark checkout v2.14.1
  switchgear mark shop/checkout v2.14.1 --author ci`,
		Args: args(2, "the service and its version, such as checkout v2.14.1,"),
	}
	connectTo, author := serverOption(cmd), authorOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		by, err := author()
		if err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		r, err := c.overrides.MarkDeployment(cmd.Context(), &apiv1.MarkDeploymentRequest{Service: given[0], Version: given[1], Author: by})
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s runs %s since %s\n", printable(r.GetMarker().GetService()), printable(r.GetMarker().GetVersion()),
			r.GetMarker().GetAt().AsTime().UTC().Format(time.RFC3339))
		return nil
	}
	return cmd
}
