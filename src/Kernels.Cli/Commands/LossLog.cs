using System.Globalization;
using Kernels.Study;

namespace Kernels.Cli.Commands;

/// <summary>
/// Writes the losses of all steps, and passes on what it is told. Of a study that goes on the file is that of one which was never stopped.
/// </summary>
internal sealed class LossLog : IStudyProgress
{
    private const string Header = "recipe,seed,step,loss,bits";

    private readonly string _path;
    private readonly bool _goesOn;
    private readonly IStudyProgress _next;
    private readonly HashSet<string> _runs = []; // that were told of

    /// <param name="path">Where the losses go.</param>
    /// <param name="goesOn">The file of an earlier part of the study is kept, up to where training goes on.</param>
    /// <param name="next">Is told the same.</param>
    /// <exception cref="DatasetException">The file cannot be written.</exception>
    public LossLog(string path, bool goesOn, IStudyProgress next)
    {
        (_path, _goesOn, _next) = (path, goesOn, next);
        Write(() =>
        {
            if (!goesOn || !File.Exists(path) || File.ReadLines(path).FirstOrDefault() != Header) File.WriteAllLines(path, [Header]);
        });
    }

    public void OnEpoch(EpochReport report)
    {
        string run = $"{report.Recipe.Name},{report.Seed},";
        int first = ((report.Epoch - 1) * report.StepLosses.Count) + 1;
        Write(() =>
        {
            if (_goesOn && _runs.Add(run)) DropFrom(run, first);
            File.AppendAllLines(_path, report.StepLosses.Select((loss, i) => Line(run, first + i, loss)));
        });
        _next.OnEpoch(report);
    }

    public void OnRunEnd(RunResult result) => _next.OnRunEnd(result);

    private static string Line(string run, int step, double loss) => string.Create(
        CultureInfo.InvariantCulture, $"{run}{step},{loss:R},{BitConverter.DoubleToUInt64Bits(loss):x16}");

    /// <summary>What was written of an epoch whose end no checkpoint has is written again; a line that broke off is dropped, too.</summary>
    private void DropFrom(string run, int step)
    {
        string[] lines = File.ReadAllLines(_path);
        string[] kept = [.. lines.Where(line => line.Split(',') is { Length: 5 } fields && (!line.StartsWith(run, StringComparison.Ordinal)
            || int.Parse(fields[2], CultureInfo.InvariantCulture) < step))];
        if (kept.Length < lines.Length) File.WriteAllLines(_path, kept);
    }

    private void Write(Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException(_path, $"cannot be written: {e.Message}", e);
        }
    }
}
