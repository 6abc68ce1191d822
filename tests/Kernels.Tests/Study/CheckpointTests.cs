using Kernels.Study;
using Xunit;

namespace Kernels.Tests.Study;

public sealed class CheckpointTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("kernels-checkpoint").FullName;

    private string FilePath => Path.Combine(_directory, "run");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void EveryBitComesBack()
    {
        float[] bits = [float.NaN, -0f, float.Epsilon, BitConverter.UInt32BitsToSingle(0x7fc12345), float.NegativeInfinity, 1];
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> tensor = device.Upload<float>(bits, 2, 3), other = device.Allocate<float>(2, 3);
        Checkpoint written = new();
        written.Set("recipe", "cnn + ö");
        written.Set<ulong>("counts", [ulong.MaxValue, 0]);
        written.Set<double>("none", []);
        written.Set(stream, "weights", tensor);
        written.Save(FilePath);
        Checkpoint read = Checkpoint.Load(FilePath);
        read.Load(stream, "weights", other);

        Assert.Equal(["recipe", "counts", "none", "weights"], read.Names);
        Assert.Equal("cnn + ö", read.Text("recipe"));
        Assert.Equal([ulong.MaxValue, 0], read.Values<ulong>("counts"));
        Assert.Empty(read.Values<double>("none"));
        Assert.Equal(bits.Select(BitConverter.SingleToUInt32Bits), other.ToArray(stream).Select(BitConverter.SingleToUInt32Bits));
        Assert.False(read.Has("velocity"));
        Assert.Contains("has no velocity", Assert.Throws<DatasetException>(() => read.Values<float>("velocity")).Message);
        Assert.Contains("weights is Float", Assert.Throws<DatasetException>(() => read.Values<double>("weights")).Message);
        using DeviceTensor<float> narrow = device.Allocate<float>(3, 2);
        Assert.Contains("shape [2, 3]", Assert.Throws<DatasetException>(() => read.Load(stream, "weights", narrow)).Message);
    }

    [Fact]
    public void NoBitOfAFileMayChange()
    {
        Write(1);
        byte[] file = File.ReadAllBytes(FilePath);
        for (int i = 0; i < file.Length; i++)
        {
            file[i] ^= 1;
            File.WriteAllBytes(FilePath, file);
            Assert.Throws<DatasetException>(() => Checkpoint.Load(FilePath));
            file[i] ^= 1;
        }

        foreach (int length in (int[])[0, 5, 20, file.Length - 1])
        {
            File.WriteAllBytes(FilePath, file[..length]);
            Assert.Equal(FilePath, Assert.Throws<DatasetException>(() => Checkpoint.Load(FilePath)).File);
        }
    }

    [Fact]
    public void AFailedSaveLeavesTheLastOne()
    {
        Write(1);
        Write(2);

        // What is written beside the file cannot be.
        Directory.CreateDirectory($"{FilePath}.new");

        Assert.Contains("cannot be written", Assert.Throws<DatasetException>(() => Write(3)).Message);
        Assert.Equal([2], Checkpoint.Load(FilePath).Values<int>("epoch"));
        Assert.Throws<DatasetException>(() => Checkpoint.Load(Path.Combine(_directory, "other")));
    }

    private void Write(int epoch)
    {
        Checkpoint checkpoint = new();
        checkpoint.Set<int>("epoch", [epoch]);
        checkpoint.Save(FilePath);
    }
}
