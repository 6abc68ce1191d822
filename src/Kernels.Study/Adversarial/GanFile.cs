using System.Runtime.InteropServices;

namespace Kernels.Study;

/// <summary>
/// A GAN in a file: how far its training has come, and what it needs to go on with the same bits; once it has ended, its quality too.
/// </summary>
/// <param name="path">The file.</param>
/// <param name="conditions">All that the training depends on besides the code, in words. Another file is not taken for it.</param>
internal sealed class GanFile(string path, string conditions)
{
    /// <summary>Of what is in the file and of the training itself: raised when either changes.</summary>
    private const int Version = 1;

    private const string ConditionsName = "conditions";
    private const string CurveName = "curve";
    private const string SheetEpochsName = "sheet epochs";
    private const string FailureName = "failure";

    public string Path => path;

    private string Conditions => $"GAN {Version}: {conditions}";

    /// <summary>How far a training has come, or null, with a reason where there is a file.</summary>
    public GanProgress? Load(GanTraining training, out string? refusal)
    {
        refusal = null;
        if (!File.Exists(path)) return null;
        try
        {
            Checkpoint file = Checkpoint.Load(path);
            if (file.Text(ConditionsName) is string other && other != Conditions)
            {
                refusal = $"{path} was made by another version or with other settings ({other})";
                return null;
            }

            training.Load(file);
            GanProgress progress = new() { Seconds = file.Values<double>("seconds")[0] };
            progress.Curve.AddRange(MemoryMarshal.Cast<float, GanEpoch>(file.Values<float>(CurveName)));
            foreach (int epoch in file.Values<int>(SheetEpochsName))
                progress.Sheets.Add(new GanSheet(epoch, file.Values<byte>($"sheet {epoch}")));
            if (file.Has(FailureName)) progress.Failure = file.Text(FailureName);
            if (file.Has("answers"))
            {
                progress.Answers = file.Values<int>("answers");
                progress.Quality = new GanQuality(
                    file.Values<double>("judge")[0], file.Values<double>("agreement"), file.Values<double>("distance"),
                    file.Values<double>("real distance"));
            }

            return progress;
        }
        catch (DatasetException e)
        {
            refusal = e.Message;
            return null;
        }
    }

    /// <exception cref="DatasetException">The file cannot be written.</exception>
    public void Save(GanTraining training, GanProgress progress)
    {
        Checkpoint file = new();
        file.Set(ConditionsName, Conditions);
        training.Save(file);
        file.Set<float>(CurveName, MemoryMarshal.Cast<GanEpoch, float>(CollectionsMarshal.AsSpan(progress.Curve)));
        file.Set<double>("seconds", [progress.Seconds]);
        file.Set<int>(SheetEpochsName, [.. progress.Sheets.Select(sheet => sheet.Epoch)]);
        foreach (GanSheet sheet in progress.Sheets) file.Set<byte>($"sheet {sheet.Epoch}", sheet.Levels);
        if (progress.Failure is { } failure) file.Set(FailureName, failure);
        if (progress.Quality is { } quality)
        {
            file.Set<int>("answers", progress.Answers);
            file.Set<double>("judge", [quality.JudgeTestAccuracy]);
            file.Set<double>("agreement", quality.Agreement);
            file.Set<double>("distance", quality.Distance);
            file.Set<double>("real distance", quality.RealDistance);
        }

        file.Save(path);
    }
}

/// <summary>How far the training of a GAN has come, and what was seen of it.</summary>
internal sealed class GanProgress
{
    public List<GanEpoch> Curve { get; } = [];

    public List<GanSheet> Sheets { get; } = [];

    public double Seconds { get; set; }

    public string? Failure { get; set; }

    public GanQuality? Quality { get; set; }

    /// <summary>For each of its images the class that the judging network takes it for.</summary>
    public int[] Answers { get; set; } = [];
}
