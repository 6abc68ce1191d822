using System.Collections.Concurrent;
using System.Globalization;
using Kernels.Tests.Support;
using Xunit.Runner.Common;
using Xunit.Sdk;

[assembly: RegisterRunnerReporter(typeof(CondensedReporter))]

namespace Kernels.Tests.Support;

/// <summary>
/// What <c>build.sh test</c> shows: failures as they happen, then where the time went, each reason for skipping once with its count, and a
/// last line
/// <c>N passed, N failed, N skipped</c>.
/// </summary>
public sealed class CondensedReporter : IRunnerReporter
{
    public bool CanBeEnvironmentallyEnabled => false;

    public string Description => "show failures, time by class, reasons for skipping with their counts, and a last line of totals";

    public bool ForceNoLogo => true;

    public bool IsEnvironmentallyEnabled => false;

    public string RunnerSwitch => "condensed";

    public ValueTask<IRunnerReporterMessageHandler> CreateMessageHandler(IRunnerLogger logger, IMessageSink? diagnosticMessageSink) =>
        ValueTask.FromResult<IRunnerReporterMessageHandler>(new Handler(logger));

    private sealed class Handler(IRunnerLogger logger) : DefaultRunnerReporterMessageHandler(logger)
    {
        private const int ClassesShown = 12;

        private readonly ConcurrentDictionary<string, int> _reasons = new();
        private readonly ConcurrentDictionary<string, decimal> _seconds = new();

        protected override void HandleTestSkipped(MessageHandlerArgs<ITestSkipped> args) =>
            _reasons.AddOrUpdate(args.Message.Reason.ReplaceLineEndings(" "), 1, (_, count) => count + 1);

        protected override void HandleTestFinished(MessageHandlerArgs<ITestFinished> args)
        {
            string name = MetadataCache.TryGetClassMetadata(args.Message)?.TestClassName ?? "no class";
            _seconds.AddOrUpdate(name, args.Message.ExecutionTime, (_, seconds) => seconds + args.Message.ExecutionTime);
            base.HandleTestFinished(args);
        }

        protected override void HandleTestExecutionSummaries(MessageHandlerArgs<TestExecutionSummaries> args)
        {
            ExecutionSummary[] summaries = [.. args.Message.SummariesByAssemblyUniqueID.Select(summary => summary.Summary)];
            int failed = summaries.Sum(summary => summary.Failed + summary.Errors), skipped = summaries.Sum(summary => summary.Skipped);
            int passed = summaries.Sum(summary => summary.Total - summary.Failed - summary.Skipped - summary.NotRun);
            Say($"{args.Message.ElapsedClockTime.TotalSeconds,8:F1} s in all; the longest classes, of which some run side by side:");
            foreach ((string name, decimal seconds) in _seconds.OrderByDescending(entry => entry.Value).Take(ClassesShown))
                Say($"{seconds,8:F1} s {name}");
            foreach ((string reason, int count) in _reasons.OrderByDescending(entry => entry.Value)) Say($"{count,8} skipped: {reason}");
            Say($"{passed} passed, {failed} failed, {skipped} skipped");
        }

        private void Say(FormattableString text) => Logger.LogRaw(text.ToString(CultureInfo.InvariantCulture));
    }
}
