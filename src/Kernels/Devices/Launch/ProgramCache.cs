using System.Security.Cryptography;
using System.Text;

namespace Kernels.Devices;

/// <summary>
/// Compiled programs on disk, so that a second process does not compile again. An entry is written to a file of its own and then moved into
/// place, so concurrent processes see whole entries only; one whose checksum (of key and program) does not hold counts as absent. Every
/// failure of the disk is a miss, never an error: the cache can only save time.
/// </summary>
/// <remarks>
/// The folder is <c>KERNELS_CACHE</c> if set (<c>off</c> switches the cache off), else <c>kernels</c> in the user's cache folder.
/// </remarks>
internal static class ProgramCache
{
    private const string Variable = "KERNELS_CACHE";
    private const int ChecksumBytes = 32;
    private static readonly byte[] Magic = "KERNELS1"u8.ToArray();

    /// <summary>The folder in use, or null when the cache is off.</summary>
    public static string? Folder
    {
        get
        {
            string? chosen = Environment.GetEnvironmentVariable(Variable);
            if (string.Equals(chosen, "off", StringComparison.OrdinalIgnoreCase)) return null;
            if (!string.IsNullOrEmpty(chosen)) return chosen;
            string? root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            if (string.IsNullOrEmpty(root))
            {
                string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
                root = OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                    : home.Length == 0 ? ""
                    : Path.Combine(home, OperatingSystem.IsMacOS() ? "Library/Caches" : ".cache");
            }

            return root.Length == 0 ? null : Path.Combine(root, "kernels");
        }
    }

    /// <summary>True when the user chose the folder.</summary>
    public static bool IsChosen => Folder is not null && !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(Variable));

    /// <summary>The key of a program: everything that could change what the compiler makes of it.</summary>
    public static string Key(params ReadOnlySpan<string> parts)
    {
        StringBuilder all = new();
        foreach (string part in parts) all.Append(part.Length).Append(':').Append(part);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(all.ToString())));
    }

    public static byte[]? TryRead(string key)
    {
        if (Folder is not { } folder) return null;
        try
        {
            byte[] entry = File.ReadAllBytes(Path.Combine(folder, key));
            int header = Magic.Length + ChecksumBytes;
            if (entry.Length < header || !entry.AsSpan(0, Magic.Length).SequenceEqual(Magic)) return null;
            byte[] payload = entry[header..];
            bool intact = Checksum(key, payload).AsSpan().SequenceEqual(entry.AsSpan(Magic.Length, ChecksumBytes));
            return intact ? payload : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public static void TryWrite(string key, ReadOnlySpan<byte> payload)
    {
        if (Folder is not { } folder) return;
        string temporary = Path.Combine(folder, $"{key}.{Environment.ProcessId}.{Guid.NewGuid():N}.tmp");
        try
        {
            Directory.CreateDirectory(folder);
            using (FileStream file = new(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                file.Write(Magic);
                file.Write(Checksum(key, payload));
                file.Write(payload);
            }

            File.Move(temporary, Path.Combine(folder, key), overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TryDelete(temporary);
        }
    }

    /// <summary>Removes an entry that the driver refused, so that the next process does not try it again.</summary>
    public static void Remove(string key)
    {
        if (Folder is { } folder) TryDelete(Path.Combine(folder, key));
    }

    private static byte[] Checksum(string key, ReadOnlySpan<byte> payload)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(key));
        hash.AppendData(payload);
        return hash.GetHashAndReset();
    }

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Another process holds it; it does no harm there.
        }
    }
}
