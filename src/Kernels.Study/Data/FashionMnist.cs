namespace Kernels.Study;

/// <summary>Images of <see cref="FashionMnist.Pixels"/> bytes each, with one label from 0 to 9 per image.</summary>
internal sealed record LabeledImages(ReadOnlyMemory<byte> Pixels, ReadOnlyMemory<byte> Labels)
{
    public int Count => Labels.Length;

    public LabeledImages Slice(int start, int count) =>
        new(Pixels.Slice(start * FashionMnist.Pixels, count * FashionMnist.Pixels), Labels.Slice(start, count));
}

/// <summary>
/// Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 60,000 training and 10,000 test images of clothing, 28 x 28 grey values, ten
/// classes. MIT licence. Every file's SHA-256 is checked, wherever the file comes from.
/// </summary>
internal sealed record FashionMnist(LabeledImages Train, LabeledImages Test)
{
    public const int Side = 28;
    public const int Pixels = Side * Side;
    public const int Classes = 10;

    private static readonly string[] ClassNames =
        ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

    /// <summary>The folder of Debian's package dataset-fashion-mnist.</summary>
    public const string DebianDirectory = "/usr/share/datasets/fashion-mnist";

    /// <summary>Names a folder with the four files, as the option --data does.</summary>
    public const string DirectoryVariable = "KERNELS_DATA";

    /// <summary>
    /// What may take the place of the training file's 60,000 images: the first of them, all that a study and its tuning read, in a file
    /// that is small enough to be carried to other machines.
    /// </summary>
    public const int LeastTrainCount = StudyData.TrainCount + StudyData.ValidationCount + StudyData.TuningCount;

    public static readonly FashionMnistFile TrainImages = new(
        "train-images-idx3-ubyte.gz", 60_000, IsImages: true, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888")
    {
        Beginning = (LeastTrainCount, "9b1d9ca386ce8b6c860cb1b58c11e245d86b2aa5b06b91640e8d9de8f9134fc3"),
    };

    public static readonly FashionMnistFile TrainLabels = new(
        "train-labels-idx1-ubyte.gz", 60_000, IsImages: false, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9")
    {
        Beginning = (LeastTrainCount, "16fa7a4fba19f2485e9500d3575660126dc0368697a5c6363998901875422fce"),
    };

    public static readonly FashionMnistFile TestImages = new(
        "t10k-images-idx3-ubyte.gz", 10_000, IsImages: true, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b");

    public static readonly FashionMnistFile TestLabels = new(
        "t10k-labels-idx1-ubyte.gz", 10_000, IsImages: false, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34");

    public static IReadOnlyList<FashionMnistFile> Files { get; } = [TrainImages, TrainLabels, TestImages, TestLabels];

    /// <summary>What the images of a label show.</summary>
    public static string ClassName(int label) => ClassNames[label];

    /// <summary>
    /// The folder to read: the one the user names, else the Debian package's, else null, which means the download cache.
    /// A folder that is named must have the files: falling back to other data in silence would be worse than an error.
    /// </summary>
    public static string? FindDirectory(string? named)
    {
        named = string.IsNullOrEmpty(named) ? Environment.GetEnvironmentVariable(DirectoryVariable) : named;
        if (!string.IsNullOrEmpty(named))
        {
            return Directory.Exists(named) ? named : throw new DatasetException(named, "there is no such folder");
        }

        return Directory.Exists(DebianDirectory) ? DebianDirectory : null;
    }

    public static FashionMnist Load(string directory) =>
        new(Load(directory, TrainImages, TrainLabels), Load(directory, TestImages, TestLabels));

    private static LabeledImages Load(string directory, FashionMnistFile images, FashionMnistFile labels) =>
        new(images.Read(directory), labels.Read(directory));
}

/// <summary>One of the data set's four files: its name, its item count and the SHA-256 of its uncompressed content.</summary>
internal sealed record FashionMnistFile(string Name, int Count, bool IsImages, string Sha256)
{
    /// <summary>The item count and the SHA-256 of a file with the first items alone, where that may take its place.</summary>
    public (int Count, string Sha256)? Beginning { get; init; }

    public byte[] Read(string directory)
    {
        string path = Path.Combine(directory, Name);
        IdxFile file = IdxFile.Read(path, dimensionCount: IsImages ? 3 : 1);
        (int count, string known) = Beginning is { } first && file.Dimensions[0] == first.Count ? first : (Count, Sha256);
        int[] expected = IsImages ? [count, FashionMnist.Side, FashionMnist.Side] : [count];
        if (!file.Dimensions.SequenceEqual(expected))
        {
            throw new DatasetException(
                path, $"its shape is {string.Join(" x ", file.Dimensions)} instead of {string.Join(" x ", expected)}");
        }

        string sha256 = file.Sha256;
        if (sha256 != known)
        {
            throw new DatasetException(
                path, $"damaged or not Fashion-MNIST: the SHA-256 of its uncompressed content is {sha256} instead of {known}");
        }

        return file.Elements.ToArray();
    }

    public bool IsIntact(string directory)
    {
        try
        {
            Read(directory);
            return true;
        }
        catch (DatasetException)
        {
            return false;
        }
    }
}
