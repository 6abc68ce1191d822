using Kernels.Study;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class GanTests(TestDevices devices) : IDisposable
{
    private const int Seed = 2;

    private static readonly StudySettings Settings = StudyFixtures.SmallSettings with { Epochs = 4 };

    private readonly Device _cpu = Device.Open("cpu");
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("kernels-gan");

    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    private string File => Path.Combine(_folder.FullName, "gan");

    public void Dispose()
    {
        _folder.Delete(recursive: true);
        _cpu.Dispose();
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void EveryDeviceTrainsAlike(string deviceId)
    {
        StudySettings settings = StudyFixtures.SmallSettings with { Epochs = 3 };
        (GanEpoch expected, float[] expectedImages) = TrainTiny(_cpu);
        (GanEpoch measured, float[] measuredImages) = TrainTiny(devices.Open(deviceId));

        Assert.Equal(expected.RealLoss, measured.RealLoss, tolerance: 1e-2f);
        Assert.Equal(expected.GeneratorLoss, measured.GeneratorLoss, tolerance: 1e-2f);
        Assert.Equal(expected.GeneratedClassLoss, measured.GeneratedClassLoss, tolerance: 1e-2f);
        Assert.All(expectedImages.Zip(measuredImages), pixel => Assert.Equal(pixel.First, pixel.Second, tolerance: 1e-2f));

        (GanEpoch Last, float[] Images) TrainTiny(Device device)
        {
            using DeviceStream stream = device.CreateStream();
            using GanTraining training = new(device, stream, StudyFixtures.TinyData().Train, settings.Gan, settings, Seed);
            GanEpoch last = default;
            for (int epoch = 0; epoch < settings.Epochs; epoch++) last = training.TrainEpoch(epoch);
            return (last, training.Sheet(columns: 1, settings.Epochs!.Value));
        }
    }

    [Fact]
    public void TheClassCountsFromTheMiddleOn()
    {
        GanResult gan = Train(Settings with { Epochs = 6 });

        Assert.Equal([0, 0, 0, 0.5f, 1, 1], gan.Curve.Select(epoch => epoch.Condition));
        Assert.All(gan.Curve, epoch => Assert.InRange(epoch.Probability, 0, 0.8f));
        Assert.Equal(gan.Images!.Count, 5 * StudyFixtures.SmallData().Train.Count);
        Assert.True(gan.Filtered!.Count <= gan.Images.Count);
    }

    /// <summary>Stopped after two epochs and taken up again: what comes of it is what comes without a stop.</summary>
    [Fact]
    public void TrainingGoesOnWithTheSameBits()
    {
        GanResult whole = Train(Settings);
        using CancellationTokenSource source = new();
        Progress stopping = new()
        {
            AfterEpoch = epoch =>
            {
                if (epoch == 2) source.Cancel();
            },
        };

        Assert.Throws<OperationCanceledException>(() => Train(Settings, File, stopping, source.Token));
        Progress progress = new();
        GanResult resumed = Train(Settings, File, progress);

        Assert.Equal([3, 4], progress.Epochs);
        AssertSame(whole, resumed);

        // What has ended is not trained again.
        Progress none = new();
        AssertSame(whole, Train(Settings, File, none));
        Assert.Empty(none.Epochs);
        Assert.Empty(none.Notes);
    }

    [Fact]
    public void AFileThatIsNoneOrOfAnotherTrainingIsSaidAndMadeAgain()
    {
        GanResult whole = Train(Settings, File);
        byte[] bytes = System.IO.File.ReadAllBytes(File);
        bytes[^100] ^= 1;
        System.IO.File.WriteAllBytes(File, bytes);

        Progress damaged = new(), other = new();
        AssertSame(whole, Train(Settings, File, damaged));
        Train(Settings with { Epochs = 2 }, File, other);

        Assert.Contains("damaged", Assert.Single(damaged.Notes), StringComparison.Ordinal);
        Assert.Contains("other settings", Assert.Single(other.Notes), StringComparison.Ordinal);
        Assert.Equal([1, 2], other.Epochs);
    }

    [Fact]
    public void WhatDivergesIsSaidAndHasNoRuns()
    {
        StudySettings settings = Settings with { Gan = Settings.Gan with { GeneratorRate = 1e30 } };
        ImageSources sources = new(_cpu, StudyFixtures.SmallData(), settings);
        Progress progress = new();
        IReadOnlyList<RunResult> runs = StudyRuns.Train(
            _cpu, StudyFixtures.SmallData(), settings, [(Recipes.Find("cnn"), Seed), (Recipes.Find("cnn+gan"), Seed)], sideBySide: 1,
            progress, TestContext.Current.CancellationToken, sources: sources);

        Assert.Equal("cnn", Assert.Single(runs).Recipe.Name);
        Assert.Contains("not a number", sources.Gans.Results.Single().Failure, StringComparison.Ordinal);
        Assert.Contains("no such run", Assert.Single(progress.Notes), StringComparison.Ordinal);
        Assert.Contains(
            "given up", StudyReading.Of(StudyFixtures.Result(1, "cnn") with { Gans = sources.Gans.Results }), StringComparison.Ordinal);
    }

    [Fact]
    public void ImagesThatAreAllAlikeAreNoticed()
    {
        // Beside real images that are far apart those of any generator are alike.
        StudyData data = StudyFixtures.SmallData();
        Examples far = data.Train with { Images = [.. data.Train.Images.Select(value => 1000 * value)] };
        GanResult gan = new Gans(_cpu, data with { Train = far }, Settings).Of(
            Seed, new Progress(), TestContext.Current.CancellationToken);

        Assert.Contains("all alike", gan.Failure, StringComparison.Ordinal);
        Assert.Null(gan.Images);
    }

    [Fact]
    public void GeneratedImagesTakeTheirShareOfEachEpoch()
    {
        StudyData data = StudyFixtures.SmallData();
        using DeviceExamples table = new(_cpu, data.Train.Then(data.Test));
        TrainingSet set = new(table, data.Train.Count, generatedShare: 0.3);
        int[][] epochs = [.. Enumerable.Range(0, 5).Select(epoch => set.Order(Seed, epoch))];

        Assert.All(epochs, order =>
        {
            Assert.Equal(data.Train.Count, order.Length);
            Assert.Equal(12, order.Count(place => place >= data.Train.Count));
        });

        // Thirty images, twelve an epoch: all have been seen after five epochs, each of them twice.
        Assert.All(
            epochs.SelectMany(order => order).Where(place => place >= data.Train.Count).CountBy(place => place),
            seen => Assert.Equal(2, seen.Value));
    }

    private static void AssertSame(GanResult expected, GanResult actual)
    {
        Assert.Equal(expected.Curve, actual.Curve);
        Assert.Equal(expected.Images!.Images, actual.Images!.Images);
        Assert.Equal(expected.Quality!.Agreement, actual.Quality!.Agreement);
        Assert.Equal(expected.Sheets.Select(sheet => sheet.Epoch), actual.Sheets.Select(sheet => sheet.Epoch));
        Assert.All(expected.Sheets.Zip(actual.Sheets), sheets => Assert.Equal(sheets.First.Levels, sheets.Second.Levels));
    }

    private GanResult Train(
        StudySettings settings, string? file = null, Progress? progress = null, CancellationToken? stop = null) =>
        new Gans(_cpu, StudyFixtures.SmallData(), settings, file is null ? null : _ => file).Of(
            Seed, progress ?? new Progress(), stop ?? TestContext.Current.CancellationToken);

    private sealed class Progress : IStudyProgress
    {
        public Action<int> AfterEpoch { get; init; } = _ => { };

        public List<int> Epochs { get; } = [];

        public List<string> Notes { get; } = [];

        public void OnEpoch(EpochReport report)
        {
        }

        public void OnRunEnd(RunResult result)
        {
        }

        public void OnGan(GanReport report)
        {
            Epochs.Add(report.Epoch);
            AfterEpoch(report.Epoch);
        }

        public void OnNote(string note) => Notes.Add(note);
    }
}
