using Kernels.Devices;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Runs alone: the folder of the cache is a setting of the whole process.</summary>
[CollectionDefinition(nameof(ProgramCacheTests), DisableParallelization = true)]
public sealed class ProgramCacheCollection;

/// <summary>The disk cache gives back what was stored or nothing, and nothing that happens to its files stops an op.</summary>
[Collection(nameof(ProgramCacheTests))]
public sealed class ProgramCacheTests : IDisposable
{
    private const string Variable = "KERNELS_CACHE";

    private readonly TestDevices _devices;
    private readonly string? _original = Environment.GetEnvironmentVariable(Variable);
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"kernels-cache-{Guid.NewGuid():N}");

    public ProgramCacheTests(TestDevices devices)
    {
        _devices = devices;
        Environment.SetEnvironmentVariable(Variable, _folder);
    }

    /// <summary>What can have happened to a file of 8 + 32 + 100 bytes.</summary>
    public static TheoryData<string> Damages =>
    [
        "empty", "one byte", "magic only", "header only", "last byte missing", "one byte too many", "twice", "bit of the magic",
        "bit of the checksum", "first bit of the program", "last bit of the program", "all zero", "text", "entry of another program",
    ];

    public static TheoryData<string> GpuDevices =>
        [.. TestDevices.All.Where(device => device.Kind != DeviceKind.Cpu).Select(device => device.Id)];

    [Fact]
    public void EntriesComeBack()
    {
        string key = ProgramCache.Key("a", "b");
        Assert.Null(ProgramCache.TryRead(key));
        foreach (int length in (int[])[0, 1, 100_000])
        {
            byte[] program = [.. Enumerable.Range(0, length).Select(i => (byte)(i * 7))];
            ProgramCache.TryWrite(key, program);
            Assert.Equal(program, ProgramCache.TryRead(key));
        }

        Assert.Null(ProgramCache.TryRead(ProgramCache.Key("a", "c")));
        ProgramCache.Remove(key);
        ProgramCache.Remove(key);
        Assert.Null(ProgramCache.TryRead(key));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void KeysKeepPartsApart()
    {
        string[][] parts = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"], ["1:a"], ["a"]];
        Assert.Equal(parts.Length, parts.Select(parts => ProgramCache.Key(parts)).Distinct().Count());
        Assert.Equal(ProgramCache.Key("ab", "c"), ProgramCache.Key("ab", "c"));
    }

    [Theory]
    [MemberData(nameof(Damages))]
    public void DamagedEntriesAreAbsentAndReplaced(string damage)
    {
        string key = ProgramCache.Key("damaged"), otherKey = ProgramCache.Key("other");
        byte[] program = [.. Enumerable.Range(0, 100).Select(i => (byte)i)];
        ProgramCache.TryWrite(key, program);
        ProgramCache.TryWrite(otherKey, program);
        byte[] other = File.ReadAllBytes(Path.Combine(_folder, otherKey)), whole = File.ReadAllBytes(Path.Combine(_folder, key));
        byte[] damaged = damage switch
        {
            "empty" => [],
            "one byte" => whole[..1],
            "magic only" => whole[..8],
            "header only" => whole[..40],
            "last byte missing" => whole[..^1],
            "one byte too many" => [.. whole, 0],
            "twice" => [.. whole, .. whole],
            "bit of the magic" => Flip(whole, 3),
            "bit of the checksum" => Flip(whole, 20),
            "first bit of the program" => Flip(whole, 40),
            "last bit of the program" => Flip(whole, whole.Length - 1),
            "all zero" => new byte[whole.Length],
            "text" => "not a program at all, but something that a user put into this folder"u8.ToArray(),
            "entry of another program" => other,
            _ => throw new ArgumentOutOfRangeException(nameof(damage), damage, "unknown"),
        };
        Assert.Equal(140, whole.Length);
        File.WriteAllBytes(Path.Combine(_folder, key), damaged);
        Assert.Null(ProgramCache.TryRead(key));

        ProgramCache.TryWrite(key, program);
        Assert.Equal(program, ProgramCache.TryRead(key));
    }

    [Fact]
    public void FolderInPlaceOfEntryIsAbsent()
    {
        string key = ProgramCache.Key("folder");
        Directory.CreateDirectory(Path.Combine(_folder, key, "inner"));
        ProgramCache.TryWrite(key, [1, 2, 3]);
        Assert.Null(ProgramCache.TryRead(key));
        ProgramCache.Remove(key);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    /// <summary>Writers of different programs under few keys, and readers: every read is one writer's program, whole, or nothing.</summary>
    [Fact]
    public void ConcurrentReadersSeeWholeEntries()
    {
        string[] keys = [ProgramCache.Key("0"), ProgramCache.Key("1")];
        int torn = 0, read = 0;
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, worker =>
        {
            for (int i = 0; i < 100; i++)
            {
                string key = keys[i % 2];
                if (worker < 4)
                {
                    byte[] program = new byte[1000 * (worker + 1)];
                    program.AsSpan().Fill((byte)(worker + 1));
                    ProgramCache.TryWrite(key, program);
                }
                else if (ProgramCache.TryRead(key) is { } program)
                {
                    Interlocked.Increment(ref read);
                    if (program.Length != 1000 * program[0] || program.AsSpan().ContainsAnyExcept(program[0]))
                        Interlocked.Increment(ref torn);
                }
            }
        });

        Assert.Equal(0, torn);
        Assert.True(read > 0);
        Assert.All(keys, key => Assert.NotNull(ProgramCache.TryRead(key)));
        Assert.Equal(keys.Order(), Directory.GetFiles(_folder).Select(Path.GetFileName).Order());
    }

    /// <summary>Switched off, or a folder that cannot be made because a file is in its way: an op compiles and runs.</summary>
    [Theory]
    [MemberData(nameof(GpuDevices))]
    public void OpsRunWithoutACache(string deviceId)
    {
        Directory.CreateDirectory(_folder);
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        foreach (string setting in (string[])["off", Path.Combine(file, "cache")])
        {
            Environment.SetEnvironmentVariable(Variable, setting);
            Assert.Equal(1, Compilations(deviceId));
            Assert.Equal(1, Compilations(deviceId));
        }

        Assert.Equal([file], Directory.GetFileSystemEntries(_folder));
    }

    [Theory]
    [MemberData(nameof(GpuDevices))]
    public void SecondDeviceCompilesNothing(string deviceId)
    {
        Assert.Equal(1, Compilations(deviceId));
        Assert.Equal(0, Compilations(deviceId));
    }

    /// <summary>
    /// A damaged entry, and one that holds together but is no program of this driver: compiled afresh and replaced. (Part of a program
    /// would be another matter: drivers trust what bears their mark, and PoCL aborts the process. The checksum is what stands before that.)
    /// </summary>
    [Theory]
    [MemberData(nameof(GpuDevices))]
    public void BadEntriesAreCompiledAfresh(string deviceId)
    {
        Assert.Equal(1, Compilations(deviceId));
        string entry = Assert.Single(Directory.GetFiles(_folder));
        string key = Path.GetFileName(entry);

        File.WriteAllBytes(entry, Flip(File.ReadAllBytes(entry), 100));
        Assert.Equal(1, Compilations(deviceId));
        Assert.Equal(0, Compilations(deviceId));

        foreach (byte[] refused in (byte[][])[new byte[5000], [.. Enumerable.Repeat((byte)'x', 5000)]])
        {
            ProgramCache.TryWrite(key, refused);
            Assert.Equal(1, Compilations(deviceId));
            Assert.Equal(0, Compilations(deviceId));
        }
    }

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(Variable, _original);
        if (Directory.Exists(_folder)) Directory.Delete(_folder, recursive: true);
    }

    private static byte[] Flip(byte[] bytes, int index)
    {
        byte[] flipped = [.. bytes];
        flipped[index] ^= 1;
        return flipped;
    }

    /// <summary>How many programs a new device hands to its compiler to run one op; checks what the op computes.</summary>
    private long Compilations(string deviceId)
    {
        using Device device = _devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<ulong> key = device.Upload<ulong>([5, 6], 2);
        RandomBits.Advance(stream, key, 3);
        Assert.Equal([5UL, 9UL], key.ToArray(stream));
        return device.Counters.Compilations;
    }
}
