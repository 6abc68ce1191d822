using System.IO.Compression;
using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class FashionMnistTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kernels-data-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void NamesTheFileThatIsMissing()
    {
        DatasetException e = Assert.Throws<DatasetException>(() => FashionMnist.Load(_directory));

        Assert.Equal(Path.Combine(_directory, FashionMnist.TrainImages.Name), e.File);
        Assert.Contains("missing", e.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void RefusesAFolderThatIsNotThere()
    {
        string folder = Path.Combine(_directory, "nowhere");

        Assert.Equal(folder, Assert.Throws<DatasetException>(() => FashionMnist.FindDirectory(folder)).File);
    }

    [Fact]
    public void RefusesOtherShapes()
    {
        Write(FashionMnist.TestLabels, count: 9_999);

        DatasetException e = Assert.Throws<DatasetException>(() => FashionMnist.TestLabels.Read(_directory));

        Assert.Contains("9999 instead of 10000", e.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void RefusesTheRightShapeWithOtherContent()
    {
        Write(FashionMnist.TestLabels, count: 10_000);

        DatasetException e = Assert.Throws<DatasetException>(() => FashionMnist.TestLabels.Read(_directory));

        Assert.Contains("SHA-256", e.Reason, StringComparison.Ordinal);
        Assert.Contains(FashionMnist.TestLabels.Sha256, e.Reason, StringComparison.Ordinal);
        Assert.False(FashionMnist.TestLabels.IsIntact(_directory));
    }

    [Fact]
    public void AFileOfTheFirstItemsIsHeldAgainstItsOwnDigest()
    {
        Write(FashionMnist.TrainLabels, FashionMnist.LeastTrainCount);

        DatasetException e = Assert.Throws<DatasetException>(() => FashionMnist.TrainLabels.Read(_directory));

        Assert.Contains(FashionMnist.TrainLabels.Beginning!.Value.Sha256, e.Reason, StringComparison.Ordinal);
        Assert.Null(FashionMnist.TestLabels.Beginning);
    }

    [Fact]
    public async Task ForbiddenDownloadSaysWhatToDo()
    {
        // The variable is the process's: other tests of this class do not read it, other classes neither.
        string? before = Environment.GetEnvironmentVariable(FashionMnistCache.NoInstallVariable);
        Environment.SetEnvironmentVariable(FashionMnistCache.NoInstallVariable, "1");
        try
        {
            DatasetException e = await Assert.ThrowsAsync<DatasetException>(
                () => FashionMnistCache.FillAsync(_directory, (_, _, _) => { }, TestContext.Current.CancellationToken));

            Assert.Contains("--data", e.Reason, StringComparison.Ordinal);
            Assert.Contains("dataset-fashion-mnist", e.Reason, StringComparison.Ordinal);
            Assert.Empty(Directory.EnumerateFileSystemEntries(_directory));
        }
        finally
        {
            Environment.SetEnvironmentVariable(FashionMnistCache.NoInstallVariable, before);
        }
    }

    [Fact]
    public void ReadsDebiansFiles()
    {
        Assert.SkipUnless(Directory.Exists(FashionMnist.DebianDirectory), "Debian's package dataset-fashion-mnist is not installed");

        FashionMnist images = FashionMnist.Load(FashionMnist.DebianDirectory);
        StudyData data = StudyData.From(images), full = StudyData.Full(images), tuning = StudyData.ForTuning(images);

        Assert.Equal((2_000, 1_000, 10_000), (data.Train.Count, data.Validation.Count, data.Test.Count));
        Assert.Equal((59_000, 1_000, 10_000), (full.Train.Count, full.Validation.Count, full.Test.Count));
        Assert.Equal(images.Train.Labels.Slice(3_000, 10_000).ToArray().Select(label => (int)label), tuning.Test.Labels);
        Assert.Equal(data.Train.Images, tuning.Train.Images);
        Assert.Throws<DatasetException>(() => StudyData.Full(images with { Train = images.Train.Slice(0, 13_000) }));
        Assert.Equal([9, 0, 0, 3, 0], data.Train.Labels[..5]);
        Assert.InRange(data.Train.Images.Average(value => (double)value), -1e-6, 1e-6);
        Assert.InRange(data.Train.Images.Average(value => (double)value * value), 1 - 1e-5, 1 + 1e-5);
        Assert.All(data.Test.Labels, label => Assert.InRange(label, 0, 9));
    }

    private void Write(FashionMnistFile file, int count)
    {
        using GZipStream gzip = new(File.Create(Path.Combine(_directory, file.Name)), CompressionLevel.Fastest);
        gzip.Write([0, 0, 8, 1, (byte)(count >> 24), (byte)(count >> 16), (byte)(count >> 8), (byte)count]);
        gzip.Write(new byte[count]);
    }
}
