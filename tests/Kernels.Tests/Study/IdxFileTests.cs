using System.IO.Compression;
using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class IdxFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kernels-idx-").FullName;

    // Two images of 2 x 3 pixels.
    private static readonly byte[] TwoImages = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void ReadsDimensionsAndElements()
    {
        IdxFile file = IdxFile.Read(WriteGzip(TwoImages), dimensionCount: 3);

        Assert.Equal([2, 2, 3], file.Dimensions);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], file.Elements.ToArray());
        Assert.Equal("f7169b91c01c82a1c0c44aee0f6db5b5a609be8d0ba16e2ded674fe748c45dfe", file.Sha256);
    }

    public static TheoryData<string, byte[], string> DamagedContents => new()
    {
        { "empty", [], "too few" },
        { "header cut off", TwoImages[..10], "too few" },
        { "labels where images belong", [0, 0, 8, 1, .. TwoImages[4..]], "0x00000801" },
        { "floats where bytes belong", [0, 0, 13, 3, .. TwoImages[4..]], "0x00000d03" },
        { "not IDX at all", [0x50, .. TwoImages[1..]], "0x50000803" },
        { "one element missing", TwoImages[..^1], "11 elements where its header promises 12" },
        { "one element too many", [.. TwoImages, 13], "13 elements where its header promises 12" },
        { "a dimension of zero", [0, 0, 8, 3, 0, 0, 0, 0, .. TwoImages[8..]], "dimension 0" },
        { "dimensions whose product overflows", [0, 0, 8, 3, .. Enumerable.Repeat((byte)0xff, 8), .. TwoImages[12..]], "dimension 0" },
    };

    [Theory]
    [MemberData(nameof(DamagedContents))]
    public void SaysWhatIsWrongWithDamagedContent(string damage, byte[] content, string reason)
    {
        DatasetException e = Assert.Throws<DatasetException>(() => IdxFile.Parse("images.gz", content, dimensionCount: 3));

        Assert.Equal("images.gz", e.File);
        Assert.True(e.Reason.Contains(reason, StringComparison.Ordinal), $"{damage}: {e.Reason}");
    }

    [Fact]
    public void SaysThatAFileIsMissing()
    {
        string path = Path.Combine(_directory, "nothing.gz");

        DatasetException e = Assert.Throws<DatasetException>(() => IdxFile.Read(path, dimensionCount: 3));

        Assert.Equal(path, e.File);
        Assert.Contains("missing", e.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void SaysThatAFileIsNotGzip()
    {
        string path = Path.Combine(_directory, "plain.gz");
        File.WriteAllBytes(path, TwoImages);

        DatasetException e = Assert.Throws<DatasetException>(() => IdxFile.Read(path, dimensionCount: 3));
        Assert.Contains("gzip", e.Reason, StringComparison.Ordinal);
    }

    /// <summary>
    /// At every length: within the header, the compressed data, and the trailer, where all of the content is still there.
    /// </summary>
    [Fact]
    public void NeverTakesATruncatedArchiveForAWholeOne()
    {
        string path = WriteGzip(TwoImages);
        byte[] whole = File.ReadAllBytes(path);
        for (int length = 0; length < whole.Length; length++) RefusesAsGzip(path, whole[..length]);
    }

    /// <summary>
    /// What follows the one member of a file is no part of it: one byte, the start of another member, a whole one, an empty one, the
    /// trailer once more.
    /// </summary>
    [Fact]
    public void NothingFollowsTheMember()
    {
        string path = WriteGzip(TwoImages);
        byte[] whole = File.ReadAllBytes(path);
        byte[] empty = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        foreach (byte[] junk in (byte[][])[[0], [0x1f], [0x1f, 0x8b, 8], whole, empty, whole[^8..], new byte[100_000]])
            RefusesAsGzip(path, [.. whole, .. junk]);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(4)]
    [InlineData(1)]
    public void TheTrailerIsChecked(int fromEnd)
    {
        string path = WriteGzip(TwoImages);
        byte[] damaged = File.ReadAllBytes(path);
        damaged[^fromEnd] ^= 1;
        RefusesAsGzip(path, damaged);
    }

    private static void RefusesAsGzip(string path, byte[] file)
    {
        File.WriteAllBytes(path, file);
        DatasetException e = Assert.Throws<DatasetException>(() => IdxFile.Read(path, dimensionCount: 3));
        Assert.Equal(path, e.File);
        Assert.Contains("gzip", e.Reason, StringComparison.Ordinal);
    }

    private string WriteGzip(byte[] content)
    {
        string path = Path.Combine(_directory, "file.gz");
        using GZipStream gzip = new(File.Create(path), CompressionLevel.Optimal);
        gzip.Write(content);
        return path;
    }
}
